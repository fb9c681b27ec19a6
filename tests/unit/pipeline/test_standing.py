"""How things stood when nothing was to do: it holds while nothing moved, and not a moment longer."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.standing import Beginning, Relied, Standing, keep, recall
from provenance.identity import this_process
from tests.disks import coarse_disk_at

STAGES = ("bias", "flat")
FOUND = Standing(12, ("dataset 1 has one exposure",))


class Place:
    """A workspace as far as a standing looks at it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.raw = root / "raw"
        for name in ("raw/night", "store/work", "store/tmp", "store/journal/20261123", "objects", "products"):
            (root / name).mkdir(parents=True)
        for name in ("clio.toml", "clio.lock", "store/store.json", "raw/a.fits", "raw/night/b.fits"):
            (root / name).write_text(name)
        (root / "store/journal/20261123/run.key").touch()
        self.object = root / "objects" / "bias"
        self.object.write_bytes(b"bias")
        self.given = (root / "offsets", root / "wide.fits")
        """Nothing is there."""
        self.product = root / "products" / "MASTER_BIAS.fits"
        self.product.hardlink_to(self.object)

    def keep(self, *, entries: int = 1, settle: bool = True) -> bool:
        """Look, write the word of the call into the journal, and keep how things stand."""
        if settle:
            time.sleep(0.03)
        beginning = Beginning.now(self.store)
        for number in range(entries):
            (self.store / "journal/20261123" / f"call{number}").touch()
        return keep(self.root, STAGES, FOUND, self.relied(beginning))

    def relied(self, beginning: Beginning) -> Relied:
        return Relied(self.store, (self.raw, *self.given), (self.object, self.product), beginning)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("CLIO_CACHE", str(tmp_path / "cache"))
    (libraries := tmp_path / "libraries").mkdir()
    monkeypatch.setattr(sys, "path", [str(libraries), str(tmp_path / "python.zip")])
    return Place(tmp_path / "galaxy")


def edit_in_place(path: Path) -> None:
    """Exchange bytes and put size and time back, once the clock of the file system has gone on."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange_product(place: Place) -> None:
    place.product.unlink()
    place.product.write_bytes(b"bias")


def correct_offsets(place: Place) -> None:
    (table := place.root / "offsets" / "galaxy" / "1.ecsv").parent.mkdir(parents=True)
    table.write_text("corrected")


def install(place: Place) -> None:
    """Promise 3: versions of Python's libraries are in the key of what is computed with them."""
    (place.root.parent / "libraries" / "numpy-3.0.dist-info").mkdir()


MOVES: dict[str, Callable[[Place], object]] = {
    "settings": lambda place: (place.root / "clio.toml").write_text("clio.TOML"),
    "lock": lambda place: (place.root / "clio.lock").unlink(),
    "raw-edited": lambda place: edit_in_place(place.raw / "a.fits"),
    "raw-edited-below": lambda place: edit_in_place(place.raw / "night/b.fits"),
    "raw-new": lambda place: (place.raw / "c.fits").touch(),
    "raw-gone": lambda place: (place.raw / "a.fits").unlink(),
    "raw-renamed": lambda place: (place.raw / "a.fits").rename(place.raw / "z.fits"),
    "raw-folder-gone": lambda place: place.raw.rename(place.root / "moved"),
    "offsets-corrected": correct_offsets,
    "reference-given": lambda place: (place.root / "wide.fits").touch(),
    "library-installed": install,
    "object-edited": lambda place: edit_in_place(place.object),
    "object-gone": lambda place: place.object.unlink(),
    "object-writable": lambda place: place.object.chmod(0o600),
    "product-gone": lambda place: place.product.unlink(),
    "product-exchanged": exchange_product,
    "statement-or-run": lambda place: (place.store / "journal/20261123/other").touch(),
    "next-day": lambda place: (place.store / "journal/20261124").mkdir(),
    "scratch": lambda place: (place.store / "work/run").mkdir(),
    "partial-file": lambda place: (place.store / "tmp/partial").touch(),
    "store-exchanged": lambda place: edit_in_place(place.store / "store.json"),
    "store-gone": lambda place: (place.store / "store.json").unlink(),
}


def test_a_standing_is_given_back_while_nothing_moved(place: Place) -> None:
    assert place.keep()
    assert recall(place.root, STAGES) == recall(place.root, reversed(STAGES)) == FOUND


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_a_standing_does_not_outlive_what_it_relied_on(place: Place, move: Callable[[Place], object]) -> None:
    """Promise 4: whatever moved, everything is looked up anew."""
    place.keep()
    move(place)

    assert recall(place.root, STAGES) is None


@pytest.mark.parametrize("name", ["offsets/galaxy/1.ecsv", "wide.fits"])
def test_what_is_given_is_looked_at_as_frames_are(place: Place, name: str) -> None:
    """Promise 4: a person corrects offsets, or a reference, once nothing is left to do."""
    correct_offsets(place)
    (place.root / "wide.fits").write_text("reference")
    assert place.keep()
    assert recall(place.root, STAGES) == FOUND

    edit_in_place(place.root / name)
    assert recall(place.root, STAGES) is None


def test_another_python_is_another_program(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 3: recipes of our own compute in it."""
    place.keep()
    monkeypatch.setattr(sys, "version", "4.0")

    assert recall(place.root, STAGES) is None


def test_what_a_process_keeps_in_the_scratch_while_it_lives_does_not_matter(place: Place) -> None:
    (place.store / "tmp" / f"{this_process()}~mark").touch()
    assert place.keep()
    (place.store / "tmp" / f"{this_process()}~mark").unlink()

    assert recall(place.root, STAGES) == FOUND


def test_hidden_names_among_the_frames_do_not_matter(place: Place) -> None:
    (place.raw / ".listing").touch()
    place.keep()
    (place.raw / ".listing").write_text("other")

    # The folder's own times tell of names that come and go, hidden or not.
    assert recall(place.root, STAGES) == FOUND


def test_other_stages_are_another_question(place: Place) -> None:
    place.keep()

    assert recall(place.root, ("bias",)) is None


def test_a_copied_workspace_has_no_standing(place: Place, tmp_path: Path) -> None:
    import shutil

    place.keep()
    shutil.copytree(place.root, tmp_path / "copy")

    assert recall(tmp_path / "copy", STAGES) is None


def test_on_a_disk_that_counts_seconds_what_changed_within_two_is_not_kept(
    place: Place, tmp_path: Path
) -> None:
    """Promise 4: settings written again within the same second, in place and as long, look the same."""
    with coarse_disk_at(tmp_path / "disk") as disk:
        old = Place(disk / "old")
        time.sleep(2.1)
        new = Place(disk / "new")
        assert (new.keep(), old.keep()) == (False, True)


def test_what_changed_while_it_was_looked_at_is_not_kept(place: Place) -> None:
    """Promise 4: an edit between the look and the keeping would be taken for what was looked at."""
    time.sleep(0.03)
    beginning = Beginning.now(place.store)
    (place.store / "journal/20261123/call").touch()
    edit_in_place(place.object)

    assert not keep(place.root, STAGES, FOUND, place.relied(beginning))
    assert recall(place.root, STAGES) is None


def test_what_changed_a_moment_before_is_not_kept(place: Place) -> None:
    place.object.touch()

    assert not place.keep(settle=False)


@pytest.mark.parametrize("entries", [0, 2])
def test_a_store_somebody_else_wrote_to_meanwhile_is_not_kept(place: Place, entries: int) -> None:
    assert not place.keep(entries=entries)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 0}', '{"version": 1}'])
def test_a_damaged_standing_is_none(place: Place, tmp_path: Path, text: str) -> None:
    place.keep()
    next((tmp_path / "cache/standing").iterdir()).write_text(text)

    assert recall(place.root, STAGES) is None


def test_a_cache_that_cannot_be_written_is_no_failure(place: Place, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")

    assert not place.keep()
    assert recall(place.root, STAGES) is None
