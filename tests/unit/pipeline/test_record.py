"""Steps become actions: what the key holds, and what it does not."""

import random
from dataclasses import replace
from pathlib import Path

from builders import frame
from fakes import parameters_of
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import RecipeImage
from pipeline.execute import StagedInput
from pipeline.model import Expected, FrameInput, ProductInput, Stage, Step
from pipeline.parameters import effective
from pipeline.recipes import RECIPES
from pipeline.record import in_order, make_action
from provenance.difference import differences, in_words
from provenance.model import Action

IMAGE = RecipeImage("sha256:" + "c0" * 32, "linux/amd64", Path("a"), Path("r"))
FRAMES = [frame("BIAS", 60000.0 + n) for n in range(3)]
STEP = Step(
    id="bias:T:01",
    stage=Stage.BIAS,
    recipe="muse_bias",
    unit="T:01",
    target="calibrations",
    ifus=(1,),
    inputs=tuple(FrameInput("BIAS", f) for f in FRAMES),
    parameters=(("nifu", "1"),),
    expected=(Expected("MASTER_BIAS"),),
)


def staged(number: int, tag: str = "BIAS", **changes: object) -> StagedInput:
    made = StagedInput(
        tag, f"{tag}{number}.fits", Path(f"/x/{number}"), f"sha256:{number:064d}", f"fits1:{number:064d}", 1
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names of fields


INPUTS = tuple(staged(n) for n in range(3))


def action(
    *,
    inputs: tuple[StagedInput, ...] = INPUTS,
    image: RecipeImage = IMAGE,
    numerics: str = "pinned",
    options: tuple[tuple[str, str], ...] = (("nifu", "1"),),
    step: Step = STEP,
) -> Action:
    return make_action(
        step, effective("muse_bias", parameters_of("muse_bias"), options), inputs, image, numerics
    )


def test_places_digests_of_files_and_times_of_writing_are_no_part_of_the_key() -> None:
    """Promise 2."""
    moved = tuple(replace(i, path=Path("/elsewhere"), digest="sha256:" + "f" * 64, size=9) for i in INPUTS)
    other = replace(IMAGE, archive=Path("/b"), rootfs=Path("/c"))

    assert action(inputs=moved, image=other).key == action().key


def test_everything_that_can_change_a_pixel_is_in_the_key() -> None:
    """Promise 3."""
    others = {
        "image": action(image=replace(IMAGE, config_digest="sha256:" + "d0" * 32)),
        "platform": action(image=replace(IMAGE, platform="linux/arm64")),
        "parameter": action(options=(("nifu", "1"), ("nlow", "2"))),
        "numerics": action(numerics="native"),
        "content": action(inputs=(staged(9), *INPUTS[1:])),
        "name": action(inputs=(replace(INPUTS[0], name="other.fits"), *INPUTS[1:])),
        "role": action(inputs=(replace(INPUTS[0], tag="DARK"), *INPUTS[1:])),
        "order": action(inputs=INPUTS[::-1]),
        "count": action(inputs=INPUTS[:2]),
        "expected": action(step=replace(STEP, expected=(Expected("MASTER_BIAS", 2),))),
    }

    keys = {name: made.key for name, made in others.items()} | {"plain": action().key}
    assert len(set(keys.values())) == len(keys)


def test_a_default_written_out_is_no_change() -> None:
    """Promise 3."""
    assert action(options=(("nifu", "1"), ("ovscsigma", "3e1"))).key == action().key


def test_the_number_of_threads_is_that_of_the_recipe_and_not_of_the_machine() -> None:
    """Promise 7."""
    assert dict(action().environment)["OMP_NUM_THREADS"] == str(RECIPES["muse_bias"].threads)


def test_expected_products_of_a_tag_are_summed() -> None:
    expected = (Expected("IMAGE_FOV", 1, "white"), Expected("DATACUBE_FINAL"), Expected("IMAGE_FOV", 1, "R"))

    outputs = action(step=replace(STEP, expected=expected)).outputs

    assert [(o.tag, o.least) for o in outputs] == [("DATACUBE_FINAL", 1), ("IMAGE_FOV", 2)]


@given(st.randoms(use_true_random=False))
def test_the_order_of_frames_is_fixed_whatever_order_they_come_in(shuffle: random.Random) -> None:
    """Promise 2: tag, then MJD-OBS, then ARCFILE, then digest."""
    frames = [*FRAMES, frame("DARK", 59999.0), replace(FRAMES[0], arcfile="A"), replace(FRAMES[0], mjd=None)]
    pairs = [(FrameInput(f.tag, f), staged(n, f.tag)) for n, f in enumerate(frames)]
    shuffle.shuffle(pairs)
    step = replace(STEP, inputs=tuple(item for item, _ in pairs))

    found = in_order(step, tuple(file for _, file in pairs))

    assert [file.digest[-1] for file in found] == ["5", "4", "0", "1", "2", "3"]


def test_products_stand_by_tag_in_the_order_of_the_plan() -> None:
    items = (
        ProductInput("PIXTABLE_OBJECT", "scibasic:b:01", "PIXTABLE_OBJECT"),
        ProductInput("PIXTABLE_OBJECT", "scibasic:a:01", "PIXTABLE_OBJECT"),
        ProductInput("LSF_PROFILE", "lsf:a:01", "LSF_PROFILE"),
    )
    files = tuple(staged(n, item.tag) for n, item in enumerate(items))

    found = in_order(replace(STEP, inputs=items), files)

    assert [file.digest[-1] for file in found] == ["2", "0", "1"]


def test_a_difference_of_keys_is_told_in_words() -> None:
    old, new = action(), action(options=(("nifu", "1"), ("nlow", "2")), numerics="native")

    told = in_words(differences(old, new))

    assert told[:2] == ("numerics: pinned -> native", "parameter muse.muse_bias.nlow: 1 -> 2")
    assert told[2].startswith("environment GLIBC_TUNABLES: glibc")
