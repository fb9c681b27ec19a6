"""The published passports: what they promise, and that the tables and the documentation say the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.passport_pages import CAUSES, page
from pipeline.passports import Axis, MovedUnit, Row, Sheet, document, is_worse, joined, published, sheets_of
from pipeline.recipes import RECIPES
from pipeline.verdict import Sameness
from pipeline.volatile import MEASURED

DOCS = Path(__file__).parents[3] / "docs" / "passports.md"

SAME = Row(Axis.THREADS, "8", Sameness.IDENTICAL, wall_ms=1500)
UNIT = MovedUnit("CUBE.fits", "HDU 2 STAT", "3 of 100", "1e-20", "0.02", "5e-06")
MOVED = Row(Axis.THREADS, "1", Sameness.WITHIN_TOLERANCE, "its variance moved", moved=(UNIT,))
SHEET = Sheet(
    recipe="muse_scipost",
    version="muse/2.8.7",
    image="sha256:" + "c0" * 32,
    step="scipost:1",
    engine="bubblewrap 0.8.0",
    products=1,
    hdus=3,
    threads=2,
    numerics="pinned",
    cpu="a processor",
    wall_ms=2000,
    rows=(Row(Axis.RUN, "again", Sameness.IDENTICAL, wall_ms=2100), MOVED, SAME),
)


# The tables and the passports agree


def test_every_recipe_of_the_workflow_has_a_passport_of_its_version() -> None:
    assert list(published()) == list(RECIPES)
    assert {name: sheet.version for name, sheet in published().items()} == {
        name: row.version for name, row in MEASURED.items()
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_threads_of_a_recipe_follow_from_its_passport(recipe: str) -> None:
    """Promise 7: free only if no number of threads moved anything; else the number that was measured."""
    sheet, threads = published()[recipe], RECIPES[recipe].threads

    assert sheet.is_thread_invariant if threads is None else sheet.threads == threads


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_gives_the_same_bytes_again_and_the_same_data_elsewhere(recipe: str) -> None:
    """Promises 2 and 7."""
    rows = {row.value: row.sameness for row in published()[recipe].of(Axis.RUN)}

    assert (rows["again"], rows["elsewhere, later"]) == (Sameness.IDENTICAL, Sameness.SAME_SCIENCE)


def test_the_page_of_the_documentation_is_made_of_the_passports() -> None:
    assert DOCS.read_text(encoding="utf-8") == page(tuple(published().values()), CAUSES)


def test_a_cause_is_given_of_what_moves_and_of_nothing_else() -> None:
    moving = {
        (name, row.axis)
        for name, sheet in published().items()
        for row in sheet.unstable
        if row.axis is not Axis.SEVERAL
    }

    assert CAUSES.keys() == moving


# What they promise


def test_a_passport_goes_through_json_and_back() -> None:
    assert sheets_of(document([SHEET]), "a test") == {"muse_scipost": SHEET}


def test_what_moved_before_may_move_again_and_nothing_else_may() -> None:
    other = replace(SAME, value="2", sameness=Sameness.WITHIN_TOLERANCE)

    assert SHEET.worse_than(SHEET) == ()
    assert SHEET.worse_than(None) == (MOVED,)
    assert replace(SHEET, rows=(MOVED, other)).worse_than(SHEET) == (other,)
    assert SHEET.promise(Axis.CPU, "Nehalem") is Sameness.IDENTICAL


@pytest.mark.parametrize(
    ("found", "promised", "expected"),
    [
        (Sameness.DIFFERENT, Sameness.WITHIN_TOLERANCE, True),
        (Sameness.WITHIN_TOLERANCE, Sameness.WITHIN_TOLERANCE, False),
        (Sameness.IDENTICAL, Sameness.DIFFERENT, False),
        (None, Sameness.IDENTICAL, False),
    ],
    ids=["more", "as much", "less", "not measured"],
)
def test_more_movement_than_promised_is_worse(
    found: Sameness | None, promised: Sameness, expected: bool
) -> None:
    assert is_worse(found, promised) is expected


def test_a_recipe_is_thread_invariant_only_if_that_was_tried() -> None:
    assert not SHEET.is_thread_invariant
    assert replace(SHEET, rows=(SAME,)).is_thread_invariant
    assert not replace(SHEET, rows=()).is_thread_invariant


def test_of_a_row_measured_twice_the_last_counts_and_other_runs_do_not() -> None:
    again = replace(MOVED, sameness=Sameness.IDENTICAL)
    older = replace(SHEET, step="prep_align:1", rows=(replace(SAME, value="64"),))

    found = joined([older, SHEET, replace(SHEET, rows=(again,))])

    assert [(row.value, row.sameness) for row in found.of(Axis.THREADS)] == [
        ("1", Sameness.IDENTICAL),
        ("8", Sameness.IDENTICAL),
    ]
    assert [row.value for row in found.of(Axis.RUN)] == ["again"]


# How they read


def test_the_page_names_what_moves_with_its_size_and_its_cause() -> None:
    text = page([SHEET], {("muse_scipost", Axis.THREADS): "Because."})

    assert "| muse_scipost | scipost | again | **within tolerance**: 1; same bytes: 8 | - |" in text
    assert "### muse_scipost: threads\n\nBecause.\n" in text
    assert "| 1 | within tolerance | CUBE.fits | HDU 2 STAT | 3 of 100 | 1e-20 | 5e-06 | 0.02 |" in text
    assert "| muse_scipost | 2 | 2 | **within tolerance**: 1; same bytes: 8 |" in text


def test_the_page_shows_the_first_places_of_a_product_that_moved_in_many() -> None:
    many = replace(MOVED, moved=tuple(replace(UNIT, hdu=f"HDU 1, c{n}") for n in range(9)))

    text = page([replace(SHEET, rows=(many,))], {})

    assert "| CUBE.fits | HDU 1, c5 |" in text
    assert "| CUBE.fits | HDU 1, c6 |" not in text
    assert "| CUBE.fits | and 3 more |" in text


def test_the_page_says_what_was_not_measured_and_why() -> None:
    missing = Row(Axis.CPU, "Nehalem", None, "there is no qemu")

    text = page([replace(SHEET, rows=(missing,))], {})

    assert "| muse_scipost | cpu | Nehalem | not measured | - | - | - | there is no qemu |" in text
    assert "**not measured**: Nehalem" in text
