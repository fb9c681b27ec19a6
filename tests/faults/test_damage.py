"""Files of a finished workspace spoilt at random: named exactly, and made again. Promises 1, 4 and 8."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provenance.check import Damage, reindex
from provenance.store import Store
from tests.faults.damage import VICTIMS, WAYS, Victim, spoil
from tests.faults.yard import Yard, assert_carries_on, assert_nothing_half_done

_OF_CONTENT = ("a bit flipped, times kept", "truncated, times kept", "emptied", "overwritten at random")
CASES = [
    (what, how)
    for what in VICTIMS
    for how in WAYS
    if what != "journal" or how not in _OF_CONTENT  # an entry of the journal is empty
]


@pytest.mark.parametrize(("what", "how"), CASES, ids=[f"{what}: {how}" for what, how in CASES])
def test_damage_is_named_exactly_and_the_next_run_finishes(
    yard: Yard, dice: random.Random, what: str, how: str
) -> None:
    """Promise 4: nothing damaged is believed; promise 8: the index is disposable."""
    plot = yard.plot()
    assert plot.run().status == 0
    victim = spoil(plot, what, how, dice)

    said = plot.damage()
    ended = plot.run()

    assert strange(said, victim) == []
    assert said or not victim.must_tell
    if (what, how) == ("product", "replaced by a directory"):
        assert (ended.status, ended.error) == (6, "FileRefused")
        assert ended.message == f"{victim.path} cannot be written: is a directory"
        victim.path.rmdir()
        ended = plot.run()
    assert (ended.status, ended.message) == (0, "")
    assert plot.shown() == yard.science
    assert strange(plot.damage(), victim) == []
    if not victim.lasts:
        assert plot.damage() == ()
        with Store.open(plot.store) as store:
            before = store.index.dump()
            reindex(store)
            assert store.index.dump() == before
    assert yard.looks() == yard.raw


def strange(said: tuple[Damage, ...], victim: Victim) -> list[Damage]:
    """List the damage that was reported and not done."""
    return [item for item in said if item.subject not in victim.subjects and item.kind not in victim.kinds]


@pytest.mark.parametrize(("what", "how"), [(w, h) for w in ("record", "action") for h in WAYS])
def test_a_damaged_story_does_not_keep_a_lost_product_from_being_made_again(
    yard: Yard, dice: random.Random, what: str, how: str
) -> None:
    """What a miss is compared with to say why may be damaged itself."""
    plot = yard.plot()
    assert plot.run().status == 0
    spoil(plot, what, how, dice)
    with Store.open(plot.store) as store:
        for digest in list(store.objects.iterate()):
            store.objects.path(digest).unlink()

    ended = plot.run()

    assert (ended.status, ended.message) == (0, "")
    assert len(ended.steps("ran")) == 2
    assert plot.shown() == yard.science


CARDS = [
    ("store.json", "StoreDamaged", 6),
    ("clio.lock", "ConfigError", 2),
]
SPOILT_CARDS = ("emptied", "truncated, times kept", "overwritten at random", "replaced by a directory")


@pytest.mark.parametrize("how", SPOILT_CARDS)
@pytest.mark.parametrize(("name", "error", "status"), CARDS)
def test_a_damaged_card_is_refused_by_name_and_all_is_known_when_it_is_back(
    yard: Yard, dice: random.Random, name: str, error: str, status: int, how: str
) -> None:
    plot = yard.plot()
    assert plot.run().status == 0
    path = (plot.store if name == "store.json" else plot.folder) / name
    saved = path.read_bytes()
    path.chmod(0o644)
    WAYS[how](path, dice)

    refused = plot.run()
    if path.is_dir():
        path.rmdir()
    path.write_bytes(saved)

    assert (refused.status, refused.error) == (status, error)
    assert name in refused.message
    assert len(plot.run().steps("hit")) == 2
    assert_carries_on(plot)


def left_by_the_dead(path: Path) -> None:
    """As the lease writes it, by a process that is gone."""
    script = (
        "import os, sys; from pathlib import Path; from provenance.claims import claim\n"
        "held = claim(Path(sys.argv[1]), sys.argv[2]); held.__enter__(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(path.parent.parent), path.name], check=True)
    assert path.is_symlink()


def half_a_claim(path: Path) -> None:
    """As no process leaves it, but perhaps a disk."""
    left_by_the_dead(path)
    text = str(path.readlink())
    path.unlink()
    path.symlink_to(text[:20])


CLAIMS: dict[str, Callable[[Path], object]] = {
    "left by the dead": left_by_the_dead,
    "empty": lambda path: path.touch(),
    "garbage": lambda path: path.write_bytes(b"\0\xff" * 40),
    "half a claim": half_a_claim,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "pipe": lambda path: os.mkfifo(path),
    "foreign beside it": lambda path: path.with_name("notes.txt").touch(),
}


@pytest.mark.parametrize("how", CLAIMS)
def test_whatever_lies_in_the_place_of_a_claim_the_action_is_made(yard: Yard, how: str) -> None:
    """A claim is a hint: correctness never rests on it."""
    plot = yard.plot()
    assert plot.run().status == 0
    with Store.open(plot.store) as store:
        for key in store.records.iterate_actions():
            CLAIMS[how](plot.store / "claims" / key)
        for digest in list(store.objects.iterate()):
            store.objects.path(digest).unlink()

    ended = plot.start().wait(60)

    assert (ended.status, ended.message) == (0, "")
    assert len(ended.steps("ran")) == 2
    assert plot.shown() == yard.science


def test_a_directory_in_the_place_of_a_claim_is_refused_by_name(yard: Yard) -> None:
    plot = yard.plot()
    assert plot.run().status == 0
    with Store.open(plot.store) as store:
        key = next(iter(store.records.iterate_actions()))
        for digest in list(store.objects.iterate()):
            store.objects.path(digest).unlink()
    (plot.store / "claims" / key).mkdir()

    refused = plot.run()
    (plot.store / "claims" / key).rmdir()

    assert (refused.status, refused.error) == (6, "FileRefused")
    assert str(plot.store / "claims" / key) in refused.message
    assert plot.run().status == 0
    assert plot.shown() == yard.science


def garbled_owner(path: Path) -> None:
    path.mkdir()
    (path / "owner").write_bytes(b"\xff\0")


def piped_owner(path: Path) -> None:
    path.mkdir()
    os.mkfifo(path / "owner")


STRANGE: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_bytes(b"?"),
    "directory without an owner": lambda path: path.mkdir(),
    "directory of a garbled owner": garbled_owner,
    "link out of the store": lambda path: path.symlink_to("/"),
    "pipe": lambda path: os.mkfifo(path),
    "owner is a pipe": piped_owner,
}


@pytest.mark.parametrize("how", STRANGE)
def test_strange_entries_of_scratch_do_no_harm(yard: Yard, how: str) -> None:
    plot = yard.plot()
    assert plot.run(stages=("bias",)).status == 0
    for place in ("work", "tmp"):
        STRANGE[how](plot.store / place / "01930000-0000-7000-8000-000000000001")

    ended = plot.run()

    assert (ended.status, ended.message) == (0, "")
    assert_nothing_half_done(plot)
    assert yard.looks() == yard.raw
