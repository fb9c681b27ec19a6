"""What a step will take, learned from what runs of its stage took."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import night_frames

from pipeline.config import FileTable, Settings
from pipeline.costs import CHIP_BYTES, OUT_OF_MEMORY, Costs, Load, load_of, load_then
from pipeline.model import Frame, ProductInput, Scan, Stage, Step
from pipeline.plan import plan
from pipeline.recipes import RECIPES, TYPICAL_S, TYPICAL_UNITS
from provenance.costs import PastCost, PastInputs
from provenance.model import OutputFile, Run, Status

PARAMETERS = (("muse.muse_bias.nifu", "1"), ("muse.muse_bias.nkeep", "1"))
OTHERS = (("muse.muse_bias.nifu", "1"), ("muse.muse_bias.nkeep", "2"))
GUESS = RECIPES["muse_bias"].base_memory + RECIPES["muse_bias"].memory_factor * 3 * CHIP_BYTES


def steps(stage: Stage, frames: tuple[Frame, ...] = night_frames()) -> list[Step]:
    root = Path("/galaxy")
    settings = Settings(root, FileTable(), root / "clio.toml")
    made = plan(Scan(frames, (), (), (root / "raw",)), settings)
    return [step for step in made.steps if step.stage is stage]


BIAS = replace(steps(Stage.BIAS)[0], inputs=tuple(i for i in steps(Stage.BIAS)[0].inputs if i.tag == "BIAS"))


def past(
    peak: int | None = 10**9,
    wall_s: float = 10.0,
    parameters: tuple[tuple[str, str], ...] = PARAMETERS,
    frames: int = 3,
    *,
    is_success: bool = True,
) -> PastCost:
    inputs = (PastInputs("BIAS", frames, 12345),)
    return PastCost(is_success, peak, round(wall_s * 1000), parameters, inputs)


def costs(*seen: PastCost) -> Costs:
    """Costs of a store that saw runs of the bias, newest first."""
    return Costs(lambda stage, cause, limit: seen if stage == "bias" else (), lambda step: PARAMETERS)


def run(status: Status, **fields: Any) -> Run:
    started = "2026-01-01T00:00:00.000Z"
    return Run(
        run="r", action="a", status=status, exit_status=0, started=started, stage="bias", unit="u", **fields
    )


def nothing(id_: str) -> tuple[OutputFile, ...]:
    return ()


def test_without_an_earlier_run_the_table_is_the_first_guess() -> None:
    assert costs().memory_bytes(BIAS, load_of(BIAS, nothing)) == pytest.approx(GUESS)


def test_with_earlier_runs_it_is_a_tenth_more_than_the_largest() -> None:
    """Not only runs of the very same unit: any of the stage with the same parameters, whatever the IFU."""
    elsewhere = (("muse.muse_bias.nifu", "7"), ("muse.muse_bias.nkeep", "1"))

    assert costs(past(9 * 10**8), past(2 * 10**9, parameters=elsewhere)).memory_bytes(
        BIAS, load_of(BIAS, nothing)
    ) == pytest.approx(2.2e9, rel=1e-6)


def test_it_is_scaled_to_what_the_step_is_given() -> None:
    """Ten frames then, three now: in proportion to the table's guesses for the two."""
    row = RECIPES["muse_bias"]
    ten = row.base_memory + row.memory_factor * 10 * CHIP_BYTES

    found = costs(past(3 * 10**9, frames=10)).memory_bytes(BIAS, load_of(BIAS, nothing))

    assert found == pytest.approx(1.1 * 3e9 * GUESS / ten, rel=1e-6)


def test_runs_with_other_parameters_raise_the_guess_and_never_lower_it() -> None:
    """A cube of a short range says nothing of one of the whole."""
    assert costs(past(10**6, parameters=OTHERS)).memory_bytes(BIAS, load_of(BIAS, nothing)) == pytest.approx(
        GUESS
    )
    assert costs(past(9 * 10**9, parameters=OTHERS)).memory_bytes(
        BIAS, load_of(BIAS, nothing)
    ) == pytest.approx(9.9e9)


def test_a_run_that_died_of_its_limit_says_that_more_is_needed() -> None:
    found = costs(past(4 * 10**9, is_success=False)).memory_bytes(BIAS, load_of(BIAS, nothing))

    assert found == pytest.approx(6e9, rel=1e-6)


def test_a_run_whose_memory_nobody_measured_teaches_its_time_alone() -> None:
    known = costs(past(None, 20.0))

    assert known.memory_bytes(BIAS, load_of(BIAS, nothing)) == pytest.approx(GUESS)
    assert known.duration(BIAS).seconds == pytest.approx(20.0)


def test_without_an_earlier_run_the_time_is_the_table_s_and_no_more_than_a_guess() -> None:
    found = costs().duration(BIAS)

    assert (found.seconds, found.is_learned) == (pytest.approx(TYPICAL_S[Stage.BIAS]), False)


def test_with_earlier_runs_the_time_is_their_median_scaled_to_the_exposures() -> None:
    found = costs(past(wall_s=20), past(wall_s=30, frames=3), past(wall_s=500, frames=30)).duration(BIAS)

    assert (found.seconds, found.is_learned) == (pytest.approx(30.0), True)


def test_times_of_runs_with_the_same_parameters_count_first() -> None:
    assert costs(past(wall_s=5, parameters=OTHERS), past(wall_s=9)).duration(BIAS).seconds == pytest.approx(9)
    assert costs(past(wall_s=5, parameters=OTHERS)).duration(BIAS).seconds == pytest.approx(5)


def test_what_has_just_ended_is_learned_at_once() -> None:
    """The first bias of a night tells of all the others."""
    known = costs()
    known.learn(BIAS, run(Status.OK, peak_memory_bytes=10**10, wall_ms=7000), load_of(BIAS, nothing))

    assert known.memory_bytes(BIAS, load_of(BIAS, nothing)) == pytest.approx(1.1e10)
    assert known.duration(BIAS).seconds == pytest.approx(7.0)


def test_of_runs_that_failed_only_those_that_ran_out_of_memory_are_learned_from() -> None:
    known = costs()
    failed = run(Status.FAILED, peak_memory_bytes=10**10)

    known.learn(BIAS, replace(failed, cause="recipe error"), load_of(BIAS, nothing))
    assert known.memory_bytes(BIAS, load_of(BIAS, nothing)) == pytest.approx(GUESS)

    known.learn(BIAS, replace(failed, cause=OUT_OF_MEMORY), load_of(BIAS, nothing))
    assert known.memory_bytes(BIAS, load_of(BIAS, nothing)) == pytest.approx(1.5e10)


@pytest.mark.parametrize("stage", [Stage.BIAS, Stage.TWILIGHT, Stage.SCIBASIC, Stage.SCIPOST, Stage.COMBINE])
def test_a_step_and_the_run_it_becomes_are_measured_alike(stage: Stage) -> None:
    """Else nothing could be scaled: the index knows tags, counts and sizes, and no step."""
    step = steps(stage)[0]
    sizes = {"PIXTABLE_OBJECT": 5000, "MASTER_BIAS": 300}

    def outputs_of(maker: str) -> tuple[OutputFile, ...]:
        tags = {item.product for item in step.inputs if isinstance(item, ProductInput) and item.step == maker}
        return tuple(OutputFile(tag, "x", "sha256:" + "0" * 64, size=sizes.get(tag, 70)) for tag in tags)

    inputs = []
    for tag in sorted({item.tag for item in step.inputs}):
        of_tag = [item for item in step.inputs if item.tag == tag]
        size = sum(sizes.get(i.product, 70) if isinstance(i, ProductInput) else i.frame.size for i in of_tag)
        inputs.append(PastInputs(tag, len(of_tag), size))

    assert load_then(stage, PastCost(True, 1, 1, (), tuple(inputs))) == load_of(step, outputs_of)


def test_a_packed_frame_counts_as_unpacked_and_one_of_24_ifus_as_one() -> None:
    """What a recipe reads of it is one image, whatever the file."""
    frames = tuple(replace(f, size=f.size // 3) for f in night_frames())

    assert load_of(steps(Stage.BIAS, frames)[0], nothing) == load_of(steps(Stage.BIAS)[0], nothing)
    assert load_of(BIAS, nothing) == Load(3 * CHIP_BYTES, 3)


def test_every_stage_says_of_what_size_its_typical_step_is() -> None:
    assert TYPICAL_UNITS.keys() == TYPICAL_S.keys() == set(Stage)
