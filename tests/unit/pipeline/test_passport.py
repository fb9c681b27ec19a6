"""What a passport measures, what it calls listed, and what it leaves in the store."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from builders import image, primary, sealed
from fakes import Fault, Workspace

from pipeline.again import Workshop
from pipeline.errors import RecipeFailed, UsageError
from pipeline.model import Stage
from pipeline.passport import ELSEWHERE, KIND, LATER, Passport, measure, newest_run
from pipeline.passport_cards import Kind, compare
from pipeline.products import Product, read_product
from pipeline.recipes import RECIPES
from pipeline.reduce import Reduction
from pipeline.volatile import MEASURED, VOLATILE, VOLATILE_COMMENTS
from provenance.check import check
from provenance.model import Purpose


@pytest.fixture
def reduction(narrow: Workspace) -> Iterator[Reduction]:
    """A night of one IFU with a master bias."""
    narrow.run(Stage.BIAS)
    narrow.engine.seen.clear()
    with narrow.open() as reduction:
        yield reduction


def measured(reduction: Reduction, *, real_clock: bool = False) -> Passport:
    run = newest_run(reduction.store, "muse_bias")
    return measure(Workshop.of(reduction), run, real_clock=real_clock)


# The table


def test_the_table_lists_what_the_data_digest_leaves_out() -> None:
    """One keyword more or less changes every data digest ever recorded: that takes a new version of it."""
    assert frozenset({"DATE", "CHECKSUM"}) == VOLATILE
    assert frozenset({"DATASUM"}) == VOLATILE_COMMENTS


def test_every_recipe_of_the_workflow_was_measured() -> None:
    assert MEASURED.keys() == RECIPES.keys()


# What is varied


def test_the_second_repeat_has_another_time_host_user_and_directory(
    reduction: Reduction, narrow: Workspace
) -> None:
    found = measured(reduction)

    first, second = (seen.request for seen in narrow.engine.seen)
    assert second.surroundings == ELSEWHERE
    for name in ("hostname", "user", "directory", "inputs"):
        assert getattr(first.surroundings, name) != getattr(second.surroundings, name)
    clocks = [repeat.clock for repeat in found.repeats]
    assert clocks == [found.run.clock_at, _later(found.run.clock_at)]
    assert found.not_varied == ("user",)  # the fake engine maps none, and says so by saying nothing


def _later(clock: str | None) -> str:
    return (datetime.fromisoformat(clock or "") + LATER).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_every_field_of_a_date_and_a_time_moves() -> None:
    before = datetime(2026, 11, 23, 22, 48, 36)
    after = before + LATER

    assert all(a != b for a, b in zip(before.timetuple()[:8], after.timetuple()[:8], strict=True))


def test_a_clock_that_runs_is_begun_two_seconds_apart(reduction: Reduction, narrow: Workspace) -> None:
    found = measured(reduction, real_clock=True)

    third, fourth = found.repeats[2:]
    assert (third.clock, fourth.clock) == ("", "")
    apart = datetime.fromisoformat(fourth.started) - datetime.fromisoformat(third.started)
    assert apart.total_seconds() >= 2
    assert {item.compared for item in found.moved} == {"1, 2", "3, 4"}


# What moved


def test_what_moves_is_listed_card_by_card(reduction: Reduction) -> None:
    found = measured(reduction)

    assert (found.recipe, found.version, found.products) == ("muse_bias", "muse/2.8.7", 1)
    assert found.hdus == len(found.run.outputs[0].parts)
    assert [(item.hdu, item.keyword, item.kind) for item in found.moved] == [
        (0, "DATE", Kind.VALUE),
        (0, "CHECKSUM", Kind.VALUE),
    ]
    assert found.moved[0].before == f"DATE = '{(found.run.clock_at or '')[:-1]}'"
    assert found.unlisted == ()
    assert found.unmoved == ("DATASUM (comment)",)
    assert [repeat.is_identical for repeat in found.repeats] == [True, False]
    assert [repeat.is_same_science for repeat in found.repeats] == [True, True]


def test_what_is_not_in_the_table_is_unlisted(reduction: Reduction, narrow: Workspace) -> None:
    """Promise 7: where a recipe is not exact, that is measured and said."""
    narrow.engine.restless.add("muse_bias")

    found = measured(reduction)

    moved = {(item.compared, item.kind, item.keyword) for item in found.unlisted}
    assert {(pair, Kind.DATA, "") for pair in ("recorded, 1", "1, 2")} <= moved
    assert ("1, 2", Kind.VALUE, "DATAMD5") in moved
    assert "DATE" not in {item.keyword for item in found.unlisted}
    assert found.document()["is_within_table"] is False


def test_under_the_clock_of_the_record_nothing_is_excused(reduction: Reduction, narrow: Workspace) -> None:
    """Promise 7: with the recorded clock the bytes are the same, DATE and all."""
    narrow.engine.today = datetime(2030, 1, 1)

    found = measured(reduction)

    assert {(item.compared, item.keyword) for item in found.unlisted} == {
        ("recorded, 1", "DATE"),
        ("recorded, 1", "CHECKSUM"),
    }


def test_a_record_under_a_clock_that_ran_excuses_the_clock(narrow: Workspace) -> None:
    narrow.configure('[clio]\nclock = "real"\n')
    narrow.engine.today = datetime(2030, 1, 1)
    narrow.run(Stage.BIAS)
    narrow.engine.today = None

    with narrow.open() as reduction:
        found = measured(reduction)

    assert {item.compared for item in found.moved} == {"recorded, 1", "1, 2"}
    assert found.unlisted == ()


# Two files


def products(folder: Path, before: bytes, after: bytes) -> tuple[Product, Product]:
    """Write two files and read them as products."""
    (folder / "before.fits").write_bytes(before)
    (folder / "after.fits").write_bytes(after)
    return read_product(folder / "before.fits", "X"), read_product(folder / "after.fits", "X")


ORDER = "SIMPLE BITPIX NAXIS EXTEND"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (primary({"A": 1}), primary({"A": 2}), (0, Kind.VALUE, "A", "A = 1", "A = 2")),
        (primary({"A": 1}), primary({}), (0, Kind.VALUE, "A", "A = 1", "")),
        (primary({}), primary({"A": 1}), (0, Kind.VALUE, "A", "", "A = 1")),
        (
            primary({"A": 1, "B": 2}),
            primary({"B": 2, "A": 1}),
            (0, Kind.ORDER, "", f"{ORDER} A B", f"{ORDER} B A"),
        ),
        (
            primary({"ESO QC X": "a/b"}, comment="one"),
            primary({"ESO QC X": "a/c"}, comment="one"),
            (0, Kind.VALUE, "ESO QC X", *(f"HIERARCH ESO QC X = 'a/{c} ' / one" for c in "bc")),
        ),
        (primary() + image("X", [1]), primary(), (None, Kind.STRUCTURE, "", "2 HDUs", "1 HDUs")),
    ],
    ids=["value", "gone", "new", "order", "hierarch", "hdu"],
)
def test_each_kind_of_difference_is_told(
    tmp_path: Path, before: bytes, after: bytes, expected: tuple[object, ...]
) -> None:
    found = list(compare(*products(tmp_path, before, after), compared="1, 2"))

    assert [(m.hdu, m.kind, m.keyword, m.before, m.after) for m in found] == [expected]
    assert not any(item.is_listed for item in found)


def test_a_comment_is_told_from_a_value(tmp_path: Path) -> None:
    pair = products(tmp_path, *(primary({"A": 1}, comment=word) for word in ("one", "two")))

    found = list(compare(*pair, compared="1, 2"))

    assert ("A", Kind.COMMENT, "A = 1 / one", "A = 1 / two") in {
        (item.keyword, item.kind, item.before, item.after) for item in found
    }
    assert {item.kind for item in found} == {Kind.COMMENT}


def test_a_data_unit_is_told_by_its_digest(tmp_path: Path) -> None:
    pair = products(tmp_path, *(primary() + image("DATA", [1, n]) for n in (1, 2)))

    found = list(compare(*pair, compared="1, 2"))

    assert [(item.hdu, item.extension, item.kind) for item in found] == [(1, "DATA", Kind.DATA)]
    assert found[0].before == pair[0].digests.parts[1].data


def test_what_is_listed_is_listed_in_its_kind_only(tmp_path: Path) -> None:
    """The comment of DATASUM may move; its value is what the data are."""
    contents = (primary({"DATE": str(n)}) + sealed(image("DATA", [1, n])) for n in (1, 2))
    pair = products(tmp_path, *contents)

    found = {(item.keyword, item.kind): item.is_listed for item in compare(*pair, compared="1, 2")}

    assert found == {
        ("DATE", Kind.VALUE): True,
        ("DATASUM", Kind.VALUE): False,
        ("CHECKSUM", Kind.VALUE): True,
        ("", Kind.DATA): False,
    }


def test_a_card_that_is_continued_is_one(tmp_path: Path) -> None:
    def header(last: str) -> bytes:
        first = b"LONG    = 'begins &'".ljust(80)
        rest = f"CONTINUE  'ends {last}'".encode().ljust(80)
        end = b"END".ljust(80)
        whole = primary().partition(end)[0] + first + rest + end
        return whole.ljust(2880, b" ")

    pair = products(tmp_path, header("one"), header("two"))

    found = list(compare(*pair, compared="1, 2"))

    assert [(item.keyword, item.kind, item.after) for item in found] == [
        ("LONG", Kind.VALUE, "LONG = 'begins &' CONTINUE 'ends two'")
    ]


# What is kept


def test_a_statement_keeps_it(reduction: Reduction) -> None:
    found = measured(reduction)

    (statement,) = reduction.store.statements(KIND)
    body = dict(statement.body)
    assert body.pop("at")
    assert body == found.document()
    assert (body["image"], body["version"]) == (found.image, "muse/2.8.7")
    assert [repeat["hostname"] for repeat in body["repeats"]] == ["clio", "elsewhere"]
    assert [item["keyword"] for item in body["moved"]] == ["DATE", "CHECKSUM"]


def test_a_repeat_of_known_bytes_is_recorded_and_one_that_differs_as_listed_is_not(
    reduction: Reduction,
) -> None:
    found = measured(reduction)

    runs = [run for run in reduction.store.runs() if run.purpose is Purpose.PASSPORT]
    assert [(run.run, run.outputs) for run in runs] == [(found.repeats[0].run, found.run.outputs)]
    assert [repeat.is_recorded for repeat in found.repeats] == [True, False]
    assert reduction.store.lookup(found.run.action).run == found.run
    assert check(reduction.store) == ()


def test_what_moved_unlisted_is_kept_for_a_look(reduction: Reduction, narrow: Workspace) -> None:
    narrow.engine.restless.add("muse_bias")

    found = measured(reduction)

    runs = {run.run: run for run in reduction.store.runs() if run.purpose is Purpose.PASSPORT}
    assert runs.keys() == {repeat.run for repeat in found.repeats}
    for repeat in found.repeats:
        digest = runs[repeat.run].outputs[0].digest
        assert digest == repeat.outputs[0].digest
        assert reduction.store.objects.damage(digest) is None


def test_the_index_is_made_again_with_it(reduction: Reduction, narrow: Workspace) -> None:
    """Promise 8."""
    measured(reduction)
    before = reduction.store.statements(KIND)
    reduction.close()
    (narrow.root / ".clio" / "provenance.db").unlink()

    with narrow.open() as again:
        assert again.store.statements(KIND) == before


# What cannot be measured


def test_a_repeat_that_fails_is_no_measurement(reduction: Reduction, narrow: Workspace) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_bias")

    with pytest.raises(RecipeFailed, match=r"^bias:.* run again, failed: recipe error: esorex left with 255"):
        measured(reduction)

    assert reduction.store.statements(KIND) == ()


def test_a_recipe_nobody_calls_is_refused_with_the_nearest(reduction: Reduction) -> None:
    with pytest.raises(UsageError, match="no stage calls a recipe muse_bais") as caught:
        newest_run(reduction.store, "muse_bais")

    assert caught.value.hint == "did you mean muse_bias?"


def test_a_recipe_that_never_ran_is_refused(reduction: Reduction) -> None:
    with pytest.raises(UsageError, match="muse_scipost never succeeded here") as caught:
        newest_run(reduction.store, "muse_scipost")

    assert caught.value.hint == "run it with: clio run prep_align"
