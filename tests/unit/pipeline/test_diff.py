"""Runs and reductions of two stores compared: each kind of first difference, the same from both sides."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from builders import NIGHT_MJD, write_raw, write_static
from fakes import DIGEST, Fault, Workspace, install_image
from hypothesis import given
from hypothesis import strategies as st

from pipeline.causes import Cause, CauseKind
from pipeline.diff import Differ, ReductionPair, Root, RunPair, StepState, paired, reduction_of
from pipeline.image import Package
from pipeline.verdict import Sameness
from provenance.model import OutputFile
from provenance.store import Store

FLAT, BIAS = (f"2023-02-25T{t}" for t in ("14:52:48", "14:24:00"))
CUBE = "scipost:1001"
NEWER = "sha256:" + "d0" * 32
"""Another image."""


@dataclass(frozen=True, slots=True)
class Both:
    """Two workspaces."""

    a: Workspace
    b: Workspace

    @contextmanager
    def differ(self) -> Iterator[tuple[Differ, Store, Store]]:
        """Compare A with B."""
        with self.a.open() as old, self.b.open() as new:
            yield Differ(old.store, new.store, self.packages), old.store, new.store

    def packages(self, digest: str) -> tuple[Package, ...] | None:
        """Find an image in either library."""
        for library in (self.a.library, self.b.library):
            for image in library.list():
                if image.config_digest == digest:
                    return library.packages(image)
        return None

    def runs(self, step: str) -> RunPair:
        """Compare the newest runs of a step."""
        with self.differ() as (differ, old, new):
            stage, _, unit = step.partition(":")
            return differ.runs(*(s.runs(stage=stage, unit=unit)[0] for s in (old, new)))

    def reductions(self) -> ReductionPair:
        """Compare all of both."""
        with self.differ() as (differ, old, new):
            return differ.reductions(reduction_of(old), reduction_of(new))

    @property
    def swapped(self) -> "Both":
        """B with A."""
        return Both(self.b, self.a)


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A night of one IFU, reduced."""
    made = Workspace.make(tmp_path_factory.mktemp("a") / "galaxy", ifus=(1,))
    made.run()
    return made


@pytest.fixture
def both(reduced: Workspace, narrow: Workspace) -> Both:
    """That, and the same night in a workspace where nothing was done yet."""
    return Both(reduced, narrow)


# What makes B differ from A, and the root that has to be found: kind, name, step


def set_a_parameter(b: Workspace) -> None:
    b.configure("[recipes.muse_flat]\norder = 7\n")


def exchange_a_frame(b: Workspace) -> None:
    minute = 1 / 1440
    write_raw(b.root / "raw", "BIAS", NIGHT_MJD + 0.60 + minute, start=NIGHT_MJD + 0.60, ifus=(1,), seed=5)


def exchange_a_static(b: Workspace) -> None:
    write_static(b.root / "calib", "EXTINCT_TABLE", seed=5)


def add_a_nearer_calibration(b: Workspace) -> None:
    start = NIGHT_MJD + 0.61
    for n in range(3):
        write_raw(b.root / "raw", "BIAS", start + n / 1440, start=start, ifus=(1,), seed=n)


def take_another_image(b: Workspace, *, order: str = "5") -> None:
    install_image(b.root / "cache", NEWER)
    home = b.root / "cache" / "images" / NEWER.removeprefix("sha256:")
    packages = json.loads((home / "packages.json").read_text())
    packages[0]["version"] = "3.13.8-1"
    (home / "packages.json").write_text(json.dumps(packages))
    options = json.loads((home / "parameters" / "muse_flat.json").read_text())
    next(row for row in options if row["option"] == "order")["value"] = order
    (home / "parameters" / "muse_flat.json").write_text(json.dumps(options))
    b.configure(f'[image]\nreference = "{NEWER}"\n')


def move_a_default(b: Workspace) -> None:
    take_another_image(b, order="6")


def let_numerics_be_native(b: Workspace) -> None:
    b.configure('[clio]\nnumerics = "native"\n')


def make_the_bias_restless(b: Workspace) -> None:
    b.engine.restless.add("muse_bias")


Change = Callable[[Workspace], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A change, and the root that has to be found."""

    change: Change
    kind: CauseKind
    name: str
    step: str
    """Where the lineages part."""
    outcome: str = CUBE
    """From where they are followed back. The fake recipes give the same pixels in any image."""


FLAT_STEP, BIAS_STEP = f"flat:{FLAT}:01", f"bias:{BIAS}:01"

CASES = {
    "parameter": Case(set_a_parameter, CauseKind.PARAMETER, "muse.muse_flat.order", FLAT_STEP),
    "default": Case(move_a_default, CauseKind.PARAMETER, "muse.muse_flat.order", FLAT_STEP, FLAT_STEP),
    "raw frame": Case(exchange_a_frame, CauseKind.FRAME, "BIAS", BIAS_STEP),
    "static": Case(exchange_a_static, CauseKind.FRAME, "EXTINCT_TABLE", CUBE),
    "calibration": Case(add_a_nearer_calibration, CauseKind.CHOICE, "MASTER_BIAS", FLAT_STEP),
    "image": Case(take_another_image, CauseKind.IMAGE, "", CUBE),
    "numerics": Case(let_numerics_be_native, CauseKind.NUMERICS, "", CUBE),
    "not reproduced": Case(make_the_bias_restless, CauseKind.UNSTABLE, "", BIAS_STEP),
}


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, reduced: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, Both]:
    """Each kind of first difference, both reduced."""
    found = CASES[request.param]
    other = Workspace.make(tmp_path_factory.mktemp("b") / "galaxy", ifus=(1,))
    found.change(other)
    other.run()
    return found, Both(reduced, other)


def mirrored(cause: Cause) -> Cause:
    """Swap the sides of a cause; its words are not compared."""
    causes = tuple(sorted(map(mirrored, cause.causes), key=repr))
    return replace(cause, old=cause.new, new=cause.old, text="", causes=causes)


def plain(root: Root) -> tuple[Cause, tuple[str, ...], tuple[tuple[str, str], ...]]:
    return mirrored(mirrored(root.cause)), tuple(sorted(root.steps)), root.through


def turned(root: Root) -> tuple[Cause, tuple[str, ...], tuple[tuple[str, str], ...]]:
    return mirrored(root.cause), tuple(sorted(root.steps)), root.through


def test_the_outcome_is_followed_to_where_the_two_part(case: tuple[Case, Both]) -> None:
    expected, both = case

    found = both.runs(expected.outcome)

    assert not found.is_same
    (root,) = [r for r in found.roots if (r.cause.kind, r.cause.name) == (expected.kind, expected.name)]
    assert expected.step in root.steps
    assert root.through[-1] == ("", expected.outcome)
    lengths = [len(root.through) for root in found.roots]
    assert lengths == sorted(lengths, reverse=True)


def test_both_ways_round_the_same_is_told_with_sides_swapped(case: tuple[Case, Both]) -> None:
    expected, both = case

    there, back = both.runs(expected.outcome), both.swapped.runs(expected.outcome)

    assert there.sameness == back.sameness
    assert sorted(map(plain, there.roots), key=repr) == sorted(map(turned, back.roots), key=repr)
    assert {(p.tag, p.name, p.compared.sameness) for p in there.products} == {
        (p.tag, p.name, p.compared.sameness) for p in back.products
    }


def test_a_reduction_names_each_root_once(case: tuple[Case, Both]) -> None:
    expected, both = case

    found, back = both.reductions(), both.swapped.reductions()

    assert not found.is_same
    (root,) = [r for r in found.roots if (r.cause.kind, r.cause.name) == (expected.kind, expected.name)]
    assert expected.step in root.steps
    assert [(s.step, s.state) for s in found.steps if s.old and s.new] == [
        (s.step, s.state) for s in back.steps if s.old and s.new
    ]
    assert sorted((plain(root)[:2] for root in found.roots), key=repr) == sorted(
        (turned(root)[:2] for root in back.roots), key=repr
    )


# One by one


def test_the_chain_leads_from_the_cause_to_the_outcome(both: Both) -> None:
    set_a_parameter(both.b)
    both.b.run()

    (root,) = both.runs(CUBE).roots

    assert root.cause.text == "parameter muse.muse_flat.order: 5 -> 7"
    steps = [step for _, step in root.through]
    assert steps[0] == f"flat:{FLAT}:01"
    assert steps[-1] == CUBE
    assert len(set(steps)) == len(steps) > 2


def test_a_default_that_moved_is_told_with_the_packages_of_its_image(both: Both) -> None:
    move_a_default(both.b)
    both.b.run()

    found = both.runs(f"flat:{FLAT}:01")

    texts = {root.cause.kind: root.cause for root in found.roots}
    text = "parameter muse.muse_flat.order: 5 -> 6, the default of the other image"
    assert texts[CauseKind.PARAMETER].text == text
    (package,) = texts[CauseKind.IMAGE].causes
    assert (package.name, package.old, package.new) == ("esorex", "3.13.6-1", "3.13.8-1")
    assert (texts[CauseKind.IMAGE].old, texts[CauseKind.IMAGE].new) == (DIGEST, NEWER)


def test_another_calibration_is_told_with_the_reasons_for_either(both: Both) -> None:
    add_a_nearer_calibration(both.b)
    both.b.run()

    (root,) = both.runs(FLAT_STEP).roots

    nearer = f"{BIAS[:10]}T14:38:24"
    assert root.cause.text == f"MASTER_BIAS is of bias:{nearer}:01, not of {BIAS_STEP}"
    (why,) = root.cause.causes
    assert (why.old, why.new) == (BIAS, nearer)
    assert why.text == f"MASTER_BIAS: {BIAS} (29 min away) -> {nearer} (14 min away)"


def test_the_same_reduction_in_two_stores_is_the_same(both: Both) -> None:
    both.b.run()

    found, cube = both.reductions(), both.runs(CUBE)

    assert found.is_same
    assert found.roots == ()
    assert {step.state for step in found.steps} == {StepState.SAME}
    assert cube.is_same
    assert cube.roots == ()


def test_a_frame_of_which_only_the_name_differs_is_no_difference(both: Both) -> None:
    """Promise 2."""
    for number, path in enumerate(sorted((both.b.root / "raw").iterdir())):
        path.rename(path.with_name(f"frame-{number}.fits"))
    both.b.run()

    assert both.reductions().is_same


def test_what_was_asked_otherwise_and_gave_the_same_is_told(both: Both) -> None:
    """Only the header tells of it: the reduction downstream is the same."""
    both.b.run()
    with both.b.open() as reduction:
        store = reduction.store
        run = store.runs(stage="bias")[0]
        asked = replace(store.action(run.action), environment=(("LC_ALL", "de"),))
        other = replace(run, run=store.new_run_id(), action=asked.key)
        store.commit(asked, other)

    with both.differ() as (differ, old, new):
        before, after = reduction_of(old), reduction_of(new) | {f"bias:{BIAS}:01": new.run(other.run)}
        found = differ.reductions(before, after)

    states = {step.step: step.state for step in found.steps}
    assert states.pop(f"bias:{BIAS}:01") is StepState.SAME_DATA
    assert set(states.values()) == {StepState.SAME}
    assert not found.is_same
    assert {root.cause.kind for root in found.roots} == {CauseKind.ENVIRONMENT}


def test_a_step_of_one_side_only_is_told(both: Both) -> None:
    both.b.configure("[workflow]\nillum = false\n")
    both.b.run()
    with both.differ() as (differ, old, new):
        fewer = {step: run for step, run in reduction_of(new).items() if not step.startswith("lsf")}
        found = differ.reductions(reduction_of(old), fewer)

    assert {s.step.partition(":")[0] for s in found.steps if s.state is StepState.ONLY_OLD} == {"lsf"}


def test_two_steps_of_a_stage_can_be_compared(workspace: Workspace) -> None:
    workspace.run()
    with workspace.open() as reduction:
        store = reduction.store
        first, second = sorted(store.runs(stage="flat"), key=lambda run: run.unit)
        found = Differ(store, store, lambda digest: None).runs(first, second)

    kinds = {root.cause.kind for root in found.roots}
    assert {CauseKind.PARAMETER, CauseKind.FRAME, CauseKind.CHOICE} >= kinds
    assert "muse.muse_flat.nifu" in {root.cause.name for root in found.roots}


def test_what_two_recipes_do_not_share_is_not_compared(reduced: Workspace) -> None:
    with reduced.open() as reduction:
        store = reduction.store
        pair = (store.runs(stage=stage)[0] for stage in ("bias", "flat"))
        found = Differ(store, store, lambda digest: None).runs(*pair)

    kinds = {root.cause.kind for root in found.roots}
    assert CauseKind.RECIPE in kinds
    assert not kinds & {CauseKind.PARAMETER, CauseKind.INPUT}


def test_a_run_is_the_same_as_itself(reduced: Workspace) -> None:
    with reduced.open() as reduction:
        run = reduction.store.runs(stage="scipost")[0]
        found = Differ(reduction.store, reduction.store, lambda digest: None).runs(run, run)

    assert found.is_same
    assert (found.sameness, found.roots, found.around) == (Sameness.IDENTICAL, (), ())


def test_products_that_are_gone_are_judged_by_their_record(both: Both) -> None:
    set_a_parameter(both.b)
    both.b.run()
    shutil.rmtree(both.b.root / ".clio" / "objects")
    (both.b.root / ".clio" / "objects").mkdir()

    pairs = {pair.tag: pair.compared for pair in both.runs(FLAT_STEP).products}

    assert pairs["MASTER_FLAT"].sameness is Sameness.DIFFERENT
    assert pairs["MASTER_FLAT"].reason.startswith("by the recorded data digests")


def test_a_run_that_failed_with_the_same_inputs_is_told(both: Both) -> None:
    both.b.engine.fail(Fault.EXIT, "muse_bias")
    both.b.run()

    found = both.runs(BIAS_STEP)

    assert not found.is_same
    (root,) = found.roots
    assert root.cause.kind is CauseKind.UNSTABLE
    assert f"{BIAS_STEP} was asked the same and ended failed, not ok" in root.cause.text


def test_what_was_around_is_told_of_what_is_not_reproduced(both: Both) -> None:
    make_the_bias_restless(both.b)
    both.b.engine.name = "other"
    both.b.run()

    (root,) = both.runs(f"bias:{BIAS}:01").roots

    around = [cause for cause in root.cause.causes if cause.kind is CauseKind.AROUND]
    assert [(cause.name, cause.old, cause.new) for cause in around] == [("engine", "fake 1.0", "other 1.0")]


# Which runs a reduction is


def test_a_reduction_is_what_the_last_call_believed_and_not_what_ran_last(narrow: Workspace) -> None:
    first = narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")
    narrow.run()
    narrow.configure("")
    narrow.run()

    with narrow.open() as reduction:
        found = reduction_of(reduction.store, str(narrow.root))

    believed = {event.step.id: event.run.run for event in first.events if event.run}
    assert {step: run.run for step, run in found.items()} == believed


def test_a_reduction_can_be_named_by_a_call(narrow: Workspace) -> None:
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")
    narrow.run()

    with narrow.open() as reduction:
        store = reduction.store
        late, early = store.invocations()
        differ = Differ(store, store, lambda digest: None)
        found = differ.reductions(reduction_of(store, call=early), reduction_of(store, call=late))

    assert [root.cause.text for root in found.roots] == ["parameter muse.muse_flat.order: 5 -> 7"]
    assert {s.state for s in found.steps if s.step.startswith("bias")} == {StepState.SAME}


# Pairs of products

_TAGS = st.sampled_from(["CUBE", "IMAGE", "TABLE"])
_OUTPUTS = st.lists(st.tuples(_TAGS, st.integers(0, 4)), unique=True, max_size=6).map(
    lambda items: tuple(OutputFile(tag, f"{tag}_{n}.fits", f"sha256:{n:064x}") for tag, n in items)
)


@given(old=_OUTPUTS, new=_OUTPUTS)
def test_every_product_stands_in_one_pair(old: tuple[OutputFile, ...], new: tuple[OutputFile, ...]) -> None:
    pairs = list(paired(old, new))

    assert sorted((a for a, _ in pairs if a), key=repr) == sorted(old, key=repr)
    assert sorted((b for _, b in pairs if b), key=repr) == sorted(new, key=repr)
    assert all(a.tag == b.tag for a, b in pairs if a and b)


@given(old=_OUTPUTS, new=_OUTPUTS)
def test_pairs_of_the_same_name_are_the_same_from_both_sides(
    old: tuple[OutputFile, ...], new: tuple[OutputFile, ...]
) -> None:
    def named(pairs: Iterator[tuple[OutputFile | None, OutputFile | None]]) -> set[tuple[str, str]]:
        return {(a.tag, a.name) for a, b in pairs if a and b and a.name == b.name}

    assert named(paired(old, new)) == named(paired(new, old))
