"""What may go and what stays; that what went can come back; and that no fault on the way does harm."""

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from stored import a_run, an_action, overwrite, product, tree

from provenance.check import check, examine, reindex, remarks
from provenance.digest import digest_bytes
from provenance.errors import StoreDamaged, short
from provenance.files import listing
from provenance.model import (
    ActionInput,
    ExpectedOutput,
    InputFile,
    Invocation,
    OutputFile,
    Purpose,
    Run,
    Status,
    StepOutcome,
)
from provenance.prune import (
    IDENTICAL,
    VERDICT,
    Means,
    Plan,
    Reason,
    Terms,
    carry_out,
    newest_runs,
    plan,
    survey,
    unproven,
)
from provenance.store import Store

LATER = "2027-01-01T00:00:00.000Z"
ALL = Terms(LATER)


def make(
    store: Store,
    stage: str,
    *inputs: OutputFile | str,
    content: str = "",
    cpu_ms: int = 1000,
    **changes: object,
) -> Run:
    """Record a run that reads products and raw frames and makes one product."""
    files = tuple(
        InputFile("RAW", item, digest_bytes(item.encode()), size=1, seen_at=f"/raw/{item}")
        if isinstance(item, str)
        else InputFile(item.tag, item.name, item.digest, None, item.size)
        for item in inputs
    )
    action = an_action(
        recipe=f"muse_{stage}",
        inputs=tuple(ActionInput(item.tag, item.name, item.digest) for item in files),
        outputs=(ExpectedOutput(stage.upper(), 1),),
    )
    run_id = store.new_run_id()
    made = product(store, run_id, (content or f"{stage} of {inputs}").encode(), tag=stage.upper())
    fields: dict[str, object] = {"stage": stage, "inputs": files, "outputs": (made,), "cpu_user_ms": cpu_ms}
    fields["ended"] = "2026-11-22T09:01:00.000Z"
    run = a_run(action, run_id, **(fields | changes))
    store.commit(action, run)
    with store.files.linking(run):
        store.discard_work(run_id)
    return run


def again(store: Store, run: Run, content: bytes | None = None, **changes: object) -> Run:
    """Record another run of the same action; it gives the same bytes unless told otherwise."""
    action, run_id = store.action(run.action), store.new_run_id()
    old = run.outputs[0]
    kept = store.objects.put_bytes(content or store.objects.path(old.digest).read_bytes())
    output = OutputFile(old.tag, old.name, kept.digest, size=kept.size)
    fields: dict[str, object] = {"stage": run.stage, "inputs": run.inputs, "outputs": (output,)}
    fields["purpose"] = Purpose.REPLAY
    fields["ended"] = "2026-11-22T09:02:00.000Z"
    made = a_run(action, run_id, **(fields | changes))
    store.commit(action, made)
    return made


def called(store: Store, *runs: Run, workspace: str = "/galaxy", outcome: str = "ran") -> None:
    """Record a call of the command that came to these runs."""
    steps = tuple(StepOutcome(r.stage, r.unit, "muse", r.action, r.run, outcome) for r in runs)
    store.record_invocation(
        Invocation(store.new_run_id(), "2026", "2026", ("clio", "run"), "0.1.0", workspace, 0, steps)
    )


def means(
    store: Store, *, lost: Iterable[str] = (), runnable: bool = True, held: Iterable[str] = ()
) -> Means:
    """Everything outside is as it should be, but for what is named."""
    gone = {digest_bytes(name.encode()) for name in lost}

    def freed(digest: str) -> int:
        return 0 if digest in held else os.lstat(store.objects.path(digest)).st_size

    def has_file(item: InputFile) -> bool:
        return item.tag == "RAW" and item.digest not in gone

    return Means(freed, has_file, lambda run: runnable, lambda run: run.stage)


def planned(store: Store, terms: Terms = ALL, **outside: object) -> Plan:
    return plan(survey(store, terms.since), means(store, **outside), terms)  # type: ignore[arg-type]


def going(what: Plan) -> list[str]:
    return [output.tag for drop in what.drops for output in drop.objects]


def kept(what: Plan) -> dict[Reason, int]:
    return {item.reason: item.objects for item in what.kept}


def prune(store: Store, what: Plan) -> int:
    return carry_out(store, what, "/galaxy", lambda digest: ("t/s/u/name.fits",), lambda digest: None)


# What stays


def test_a_product_that_was_never_proven_stays(store: Store) -> None:
    make(store, "bias", "raw")

    assert kept(planned(store)) == {Reason.UNPROVEN: 1}
    assert going(planned(store)) == []


@pytest.mark.parametrize("purpose", [Purpose.REPLAY, Purpose.RUN, Purpose.PASSPORT])
def test_a_second_run_of_the_action_with_the_same_bytes_proves_it(store: Store, purpose: Purpose) -> None:
    again(store, make(store, "bias", "raw"), purpose=purpose)

    assert going(planned(store)) == ["BIAS"]


def test_an_imported_record_proves_nothing(store: Store) -> None:
    """Promise 9."""
    again(store, make(store, "bias", "raw"), purpose=Purpose.IMPORT)

    assert kept(planned(store)) == {Reason.UNPROVEN: 1}


def test_other_bytes_prove_nothing(store: Store) -> None:
    again(store, make(store, "bias", "raw"), b"other bytes")

    assert kept(planned(store)) == {Reason.UNPROVEN: 2}


def test_the_same_bytes_of_another_action_prove_nothing(store: Store) -> None:
    make(store, "bias", "raw", content="same")
    make(store, "dark", "raw", content="same")

    assert kept(planned(store)) == {Reason.UNPROVEN: 1}


@pytest.mark.parametrize(
    ("verdict", "expected"), [(IDENTICAL, ["BIAS"]), ("same science", []), ("different", []), ("failed", [])]
)
def test_only_the_verdict_identical_proves_it(store: Store, verdict: str, expected: list[str]) -> None:
    run = make(store, "bias", "raw")
    store.statement(VERDICT, {"run": run.run, "verdict": verdict})

    assert going(planned(store)) == expected


def test_what_is_pinned_stays_until_it_is_unpinned(store: Store) -> None:
    run = make(store, "bias", "raw")
    again(store, run)
    pin = store.pin(run.outputs[0].digest, "BIAS", "bias.fits", step="bias:night", reason="figure 3")
    assert kept(planned(store)) == {Reason.PINNED: 1}

    store.unpin(pin, "paper is out")
    assert going(planned(store)) == ["BIAS"]
    assert [(pin.said.reason, pin.unpinned and pin.unpinned.reason) for pin in store.pins()] == [
        ("figure 3", "paper is out")
    ]


def test_what_the_newest_reduction_of_any_workspace_shows_stays(store: Store) -> None:
    first, second = make(store, "bias", "raw"), make(store, "bias", "raw 2")
    called(store, first, workspace="/elsewhere")
    called(store, second)
    for run in (first, second):
        again(store, run)

    assert kept(planned(store)) == {Reason.NEWEST: 2}


def test_what_an_older_reduction_showed_may_go(store: Store) -> None:
    first, second = make(store, "bias", "raw"), make(store, "bias", "raw 2")
    for run in (first, second):
        again(store, run)
        called(store, run)

    what = planned(store)
    assert [drop.objects[0].digest for drop in what.drops] == [first.outputs[0].digest]


def test_intermediates_go_when_asked_for_and_final_products_never(store: Store) -> None:
    bias = make(store, "bias", "raw")
    cube = make(store, "cube", bias.outputs[0])
    called(store, bias, cube)
    for run in (bias, cube):
        again(store, run)

    assert going(planned(store)) == []
    assert going(planned(store, Terms(LATER, intermediates=True))) == ["BIAS"]


def test_a_call_of_one_stage_does_not_give_up_the_others() -> None:
    """`clio run bias` after a whole reduction shows a bias and says nothing of the cube."""
    whole = ("bias", "b1", "hit"), ("cube", "c1", "ran")
    calls = [_call(1, *whole), _call(2, ("bias", "b2", "ran"))]

    assert set(newest_runs(calls)) == {"b2", "c1"}


def test_a_call_that_failed_in_part_does_not_give_up_what_was_whole_before() -> None:
    calls = [
        _call(1, ("bias", "old", "ran")),
        _call(2, ("bias", "whole 1", "ran"), ("bias", "whole 2", "ran")),
        _call(3, ("bias", "new 1", "ran"), ("bias", "failed 2", "failed")),
    ]

    assert set(newest_runs(calls)) == {"new 1", "whole 1", "whole 2"}


def _call(number: int, *steps: tuple[str, str, str]) -> Invocation:
    outcomes = tuple(StepOutcome(stage, run, "muse", "key", run, did) for stage, run, did in steps)
    return Invocation(f"{number:03d}", "", "", (), "", "/galaxy", 0, outcomes)


def test_what_was_made_or_read_lately_stays(store: Store) -> None:
    bias = make(store, "bias", "raw")
    again(store, bias)
    make(store, "cube", bias.outputs[0], started="2026-11-23T09:00:00.000Z", ended="2026-11-23T09:05:00.000Z")

    assert kept(planned(store, Terms("2026-11-23T08:00:00.000Z"))) == {Reason.YOUNG: 2}
    assert going(planned(store, Terms("2026-11-24T00:00:00.000Z"))) == ["BIAS"]


def test_a_replay_is_no_use_of_what_it_proves(store: Store) -> None:
    """Else nothing could go for two days after it was proven."""
    bias = make(store, "bias", "raw")
    again(store, bias, started="2026-11-24T00:00:00.000Z", ended="2026-11-24T00:00:01.000Z")

    assert going(planned(store, Terms("2026-11-23T00:00:00.000Z"))) == ["BIAS"]


def test_what_a_running_step_reads_stays(store: Store) -> None:
    bias = make(store, "bias", "raw")
    again(store, bias)
    cube = make(store, "cube", bias.outputs[0])
    with store.claim(cube.action):
        assert kept(planned(store))[Reason.IN_USE] == 1

    assert going(planned(store)) == ["BIAS"]


@pytest.mark.parametrize("outside", [{"lost": ["raw"]}, {"runnable": False}], ids=["raw frame", "image"])
def test_what_could_not_be_made_again_stays(store: Store, outside: dict[str, object]) -> None:
    bias = make(store, "bias", "raw")
    again(store, bias)

    assert kept(planned(store, ALL, **outside)) == {Reason.LOST: 1}


def test_a_product_goes_only_if_those_gone_that_it_is_made_from_come_back(store: Store) -> None:
    """A raw frame lost after the bias was pruned: the flat is now the last of its line."""
    bias = make(store, "bias", "raw", content="b" * 1000)
    flat = make(store, "flat", bias.outputs[0], content="f" * 10)
    for run in (bias, flat):
        again(store, run)
    prune(store, planned(store, Terms(LATER, free_bytes=1)))
    assert not store.objects.has(bias.outputs[0].digest)

    assert kept(planned(store, lost=["raw"])) == {Reason.LOST: 1}
    assert going(planned(store)) == ["FLAT"]


def test_what_another_link_holds_frees_nothing_and_stays(store: Store) -> None:
    bias = make(store, "bias", "raw")
    again(store, bias)

    assert kept(planned(store, held=[bias.outputs[0].digest])) == {Reason.HELD: 1}


def test_a_damaged_record_stops_all_pruning(store: Store) -> None:
    """It may be of what another product is made from; a damaged statement may be a pin."""
    run = make(store, "bias", "raw")
    overwrite(store.records.record_path(run.action, run.run), b"{")

    with pytest.raises(StoreDamaged) as caught:
        survey(store, LATER)
    assert caught.value.message.startswith("nothing is pruned in a damaged store: ")
    assert caught.value.hint == "`clio check` names all damage"


# What goes first, and what it costs


def test_the_cheapest_per_byte_goes_first_until_enough_is_freed(store: Store) -> None:
    sizes_and_costs = {"dear": (100, 9000), "cheap": (100, 10), "fair": (1000, 1000)}
    for stage, (size, cost) in sizes_and_costs.items():
        again(store, make(store, stage, stage, content="x" * (size - 1) + stage[0], cpu_ms=cost))

    assert going(planned(store)) == ["CHEAP", "FAIR", "DEAR"]
    assert going(planned(store, Terms(LATER, free_bytes=101))) == ["CHEAP", "FAIR"]
    assert planned(store, Terms(LATER, free_bytes=101)).freed_bytes == 1100
    assert kept(planned(store, Terms(LATER, free_bytes=100)))[Reason.ENOUGH] == 2


def test_what_goes_with_it_adds_to_the_cost(store: Store) -> None:
    bias = make(store, "bias", "raw", content="b" * 1000, cpu_ms=100)
    flat = make(store, "flat", bias.outputs[0], content="f" * 1000, cpu_ms=250)
    for run in (bias, flat):
        again(store, run)

    drops = {drop.recipe: drop for drop in planned(store).drops}
    assert (drops["bias"].cpu_ms, drops["bias"].remake_cpu_ms) == (100, 100)
    assert (drops["flat"].cpu_ms, drops["flat"].remake_cpu_ms) == (250, 350)
    assert planned(store).cpu_ms == 350


def test_what_is_worth_proving_is_what_would_go_if_it_were(store: Store) -> None:
    bias = make(store, "bias", "raw")
    again(store, bias)
    make(store, "flat", bias.outputs[0])
    final = make(store, "cube", "raw")
    called(store, final)

    assert going(unproven(survey(store, LATER), means(store), ALL)) == ["FLAT"]


# Doing it


def test_what_was_pruned_is_a_remark_and_a_miss_that_says_so(store: Store) -> None:
    bias = make(store, "bias", "raw", wall_ms=420_000)
    again(store, bias, wall_ms=420_000)
    digest = bias.outputs[0].digest
    freed = prune(store, planned(store))

    assert freed == len("bias of ('raw',)")
    assert not store.objects.has(digest)
    assert check(store, deep=True) == ()
    assert [remark.message for remark in remarks(store)] == [
        f"object {short(digest)} of run {store.runs()[0].run} was pruned; "
        f"`clio restore {short(digest)}` brings it back"
    ]
    assert store.lookup(bias.action).reason == (
        f"object {short(digest)} (BIAS) was pruned, and can be made again in 7 min"
    )
    _, item = store.dropped()[digest]
    assert (item.run, item.tag, item.links) == (bias.run, "BIAS", ("t/s/u/name.fits",))
    assert listing(store.path / "trash") == ()


def test_records_actions_logs_and_statements_never_go(store: Store) -> None:
    log = store.objects.put_bytes(b"[ INFO ] log")
    bias = make(store, "bias", "raw", log=log.digest)
    again(store, bias)
    before = tree(store.path)
    prune(store, planned(store))

    gone = before.keys() - tree(store.path).keys()
    assert gone == {f"objects/{bias.outputs[0].digest[7:9]}/{bias.outputs[0].digest[7:]}"}


def test_what_was_pruned_and_made_again_and_then_lost_is_damage(store: Store) -> None:
    bias = make(store, "bias", "raw")
    again(store, bias)
    prune(store, planned(store))
    again(store, bias, b"bias of ('raw',)", ended=LATER)
    store.objects.path(bias.outputs[0].digest).unlink()

    assert [damage.kind for damage in check(store)] == ["missing"]


def test_what_came_back_is_kept_as_if_made_today(store: Store) -> None:
    bias = make(store, "bias", "raw")
    again(store, bias)
    prune(store, planned(store))
    again(store, bias, b"bias of ('raw',)", ended=LATER)

    assert kept(planned(store, Terms("2026-12-31T00:00:00.000Z"))) == {Reason.YOUNG: 1}


def test_pruning_stopped_after_the_word_is_finished_by_the_next(store: Store) -> None:
    """What goes is said first: a kill leaves it said and there, which harms nobody."""
    bias = make(store, "bias", "raw")
    again(store, bias)

    class Killed(Exception):
        pass

    def die(digest: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        carry_out(store, planned(store), "/galaxy", lambda digest: (), die)
    assert check(store, deep=True) == ()
    assert store.lookup(bias.action).is_hit

    prune(store, planned(store))
    assert (check(store), store.objects.has(bias.outputs[0].digest)) == ((), False)


def test_pruning_stopped_on_a_full_disk_is_told_by_check_and_finished_by_the_next(store: Store) -> None:
    """Emptied before the word could be said."""
    bias = make(store, "bias", "raw")
    again(store, bias)
    store.objects.empty(bias.outputs[0].digest)
    assert check(store) == ()
    assert "was being pruned; `clio prune` goes on with it" in remarks(store)[0].message

    prune(store, planned(store))
    assert check(store) == ()
    assert "was pruned; `clio restore" in remarks(store)[0].message


def test_an_object_with_another_name_is_never_emptied(store: Store, tmp_path: Path) -> None:
    bias = make(store, "bias", "raw")
    (tmp_path / "mine").hardlink_to(store.objects.path(bias.outputs[0].digest))

    store.objects.empty(bias.outputs[0].digest)
    assert (tmp_path / "mine").read_bytes() == b"bias of ('raw',)"


def test_scratch_kept_for_a_look_and_damaged_objects_go_when_they_are_old(store: Store) -> None:
    run = store.new_run_id()
    (store.work(run) / "out" / "half.fits").write_bytes(b"x" * 10_000)
    store.keep_work(run)
    bias = make(store, "bias", "raw")
    overwrite(store.objects.path(bias.outputs[0].digest), b"BIAS")
    store.lookup(bias.action)

    assert planned(store, Terms("2020-01-01T00:00:00.000Z")).scratch == ()
    what = planned(store)
    assert [item.kind for item in what.scratch] == ["work", "damaged"]
    assert prune(store, what) == what.freed_bytes > 10_000
    assert (store.kept_work(), listing(store.path / "damaged")) == ((), ())


# Whatever is pruned


@dataclass
class Night:
    """A random history: who was made from what, proven or not, pinned or not."""

    store: Store
    dice: random.Random
    runs: list[Run] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def write(self) -> None:
        for number in range(14):
            upstream = self.dice.sample(self.runs, min(len(self.runs), self.dice.randint(0, 3)))
            inputs = [run.outputs[0] for run in upstream] + [f"raw {self.dice.randint(0, 4)}"] * (
                not upstream
            )
            run = make(self.store, f"s{number}", *inputs, cpu_ms=self.dice.randint(1, 9999))
            self.runs.append(run)
            match self.dice.randint(0, 3):
                case 0:
                    again(self.store, run)
                case 1:
                    self.store.statement(VERDICT, {"run": run.run, "verdict": IDENTICAL})
                case 2:
                    again(self.store, run, b"other %d" % number)
        for run in self.dice.sample(self.runs, 2):
            self.store.pin(run.outputs[0].digest, "", "", step="", reason="")
        called(self.store, *self.dice.sample(self.runs, 3))
        self.lost = [f"raw {number}" for number in range(5) if self.dice.random() < 0.3]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_pruned_what_remains_is_whole(store: Store, seed: int) -> None:
    """Pinned and newest products are there, everything gone was proven and can be had again."""
    dice = random.Random(seed)
    night = Night(store, dice)
    night.write()
    gone: set[str] = set()
    for _ in range(3):  # each in view of what the one before left
        found, outside = survey(store, LATER), means(store, lost=night.lost)
        terms = Terms(LATER, dice.choice([None, 20, 60]), intermediates=dice.random() < 0.5)
        before = set(store.objects.iterate())
        what = plan(found, outside, terms)
        prune(store, what)
        went = {output.digest for drop in what.drops for output in drop.objects}
        gone |= went

        assert set(store.objects.iterate()) == before - went
        assert found.pinned <= set(store.objects.iterate())
        newest = [run for run in night.runs if run.run in found.newest]
        read = {item.digest for run in newest for item in run.inputs} if terms.intermediates else set()
        assert not {run.outputs[0].digest for run in newest} - read & went
        assert check(store) == ()
    makers = {run.outputs[0].digest: run for run in night.runs}
    lost = {digest_bytes(name.encode()) for name in night.lost}

    def comes_back(digest: str) -> bool:
        if store.objects.has(digest):
            return True
        if digest not in makers:
            return digest not in lost
        others = [run for run in store.runs(key=makers[digest].action) if run.outputs[0].digest == digest]
        said = {statement.body["run"] for statement in store.statements(VERDICT)}
        is_proven = len(others) > 1 or makers[digest].run in said
        return is_proven and all(comes_back(item.digest) for item in makers[digest].inputs)

    assert all(map(comes_back, gone))


def test_an_index_made_again_is_the_one_there_was_pins_and_prunings_included(store: Store) -> None:
    """Promise 8."""
    night = Night(store, random.Random(5))
    night.write()
    store.unpin(store.pins()[0], "no more")
    prune(store, planned(store))
    broken = make(store, "broken", "raw", status=Status.FAILED, exit_status=1, cause="recipe error")
    accepted = store.accept(an_action(spec=9, outputs=()), night.runs[0], "s0:night", ("spec",), "cosmetic")
    store.revoke(accepted, "not so")
    before = (store.index.dump(), store.pins(), store.acceptances(), store.dropped(), store.runs())

    reindex(store)

    assert (store.index.dump(), store.pins(), store.acceptances(), store.dropped(), store.runs()) == before
    assert broken in store.runs()
    assert examine(store).damage == ()
