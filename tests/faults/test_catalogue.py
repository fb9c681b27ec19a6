"""The docs say what is tried, and it is tried."""

import re
from pathlib import Path

from tests.faults.catalogue import FAULTS, table
from tests.faults.damage import VICTIMS
from tests.faults.test_damage import CARDS, CASES, CLAIMS, SPOILT_CARDS, STRANGE
from tests.faults.test_disk import PAGES, PLACES

ROOT = Path(__file__).parents[2]


def test_the_table_in_the_docs_is_that_of_the_harness() -> None:
    """To renew it: python -m tests.faults.catalogue"""
    text = (ROOT / "docs" / "faults.md").read_text()

    assert table() in text


def test_every_fault_of_the_table_is_tried() -> None:
    """Each name stands in a test: as a parameter, or asked for by it."""
    tests = [*sorted((ROOT / "tests" / "faults").glob("test_*.py")), ROOT / "tests/faults/damage.py"]
    tests += [ROOT / "tests/end_to_end/test_engine_faults.py", ROOT / "tests/end_to_end/test_failures.py"]
    text = "\n".join(path.read_text() for path in tests if path.name != "test_catalogue.py")
    by_name = {name for name in FAULTS if re.search(rf'["\s]{re.escape(name)}["\s.]', text)}

    assert set(FAULTS) - by_name - set(NAMED_OTHERWISE) == set()
    assert all(f"def {test}(" in text for test in NAMED_OTHERWISE.values())


def test_the_numbers_in_the_table_are_those_of_the_tests() -> None:
    said = {name: FAULTS[name].trials for name in ("full", "permissions", "claim", "scratch", "card")}

    assert said == {
        "full": 2 * len(PAGES),
        "permissions": 2 * len(PLACES),
        "claim": len(CLAIMS),
        "scratch": len(STRANGE),
        "card": len(CARDS) * len(SPOILT_CARDS),
    }
    for what in VICTIMS:
        assert FAULTS[what].trials == sum(case[0] == what for case in CASES)


NAMED_OTHERWISE = {
    "full": "test_a_disk_that_fills_up_leaves_a_sound_store_and_the_next_run_finishes",
    "permissions": "test_what_may_not_be_written_or_read_is_said_by_name",
    "mount": "test_a_store_that_is_mounted_read_only_is_said_and_finished_later",
    "claim": "test_whatever_lies_in_the_place_of_a_claim_the_action_is_made",
    "scratch": "test_strange_entries_of_scratch_do_no_harm",
    "card": "test_a_damaged_card_is_refused_by_name_and_all_is_known_when_it_is_back",
    "engine killed": "test_a_recipe_that_is_killed_from_outside_is_recorded_as_killed",
    "clio killed": "test_when_clio_is_killed_its_recipe_ends_and_nothing_of_it_is_left",
    "daemon": "test_a_daemon_stopped_while_a_container_runs_is_said",
    "image gone": "test_an_image_that_is_gone_from_the_daemon_is_loaded_again",
    "memory": "test_a_recipe_out_of_memory_is_recorded_as_that",
}
"""The test of a fault whose test goes by another name."""
