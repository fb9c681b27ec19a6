"""`Sample`: many targets by a dictionary, as users of pymusepipe write it."""

from pathlib import Path

import pytest
from builders import NIGHT_MJD, date_of, write_raw
from fakes import Fault, Workspace

from pipeline import Sample
from pipeline.errors import RecipeFailed, UsageError
from pipeline.model import Stage
from pipeline.sample import Datasets, wanted_datasets

NAMED = """
[targets.NGC1087.datasets]
1.match = ["11"]
2.match = ["12"]
[targets.NGC1385.datasets]
1.match = ["21"]
"""
PLACES = (
    ("NGC1087", 11),
    ("NGC1087", 11),
    ("NGC1087", 12),
    ("NGC1087", 12),
    ("NGC1385", 21),
    ("NGC1385", 21),
)
TIMES = tuple(NIGHT_MJD + 1.05 + number / 288 for number in range(len(PLACES)))
OF_TARGETS = (Stage.PREP_ALIGN, Stage.ALIGN, Stage.SCIPOST, Stage.SCIPOST_PEREXPO, Stage.COMBINE)


@pytest.fixture
def galaxies(tmp_path: Path) -> Workspace:
    """Two targets with datasets that both call 1, one IFU."""
    made = Workspace.make(tmp_path / "galaxies", objects=0, ifus=(1,))
    for mjd, (target, block) in zip(TIMES, PLACES, strict=True):
        changes = {"ESO OBS ID": block, "ESO OBS TARG NAME": target}
        write_raw(made.root / "raw", "OBJECT", mjd, start=mjd, ifus=(1,), changes=changes)
    made.configure(NAMED)
    return made


WAYS: dict[str, tuple[Datasets, tuple[str, ...]]] = {
    "pymusepipe": (["P05", {1: 1, 2: 1}], ("1", "2")),
    "a flag is off": (["P05", {1: 1, 2: 0}], ("1",)),
    "flags": ({"1": True}, ("1",)),
    "numbers": ([1, 2], ("1", "2")),
    "names": (["200012345"], ("200012345",)),
    "one": ("P01", ("P01",)),
    "all": (None, ()),
}


@pytest.mark.parametrize(("written", "names"), WAYS.values(), ids=WAYS)
def test_datasets_are_read_as_people_write_them(written: Datasets, names: tuple[str, ...]) -> None:
    assert wanted_datasets(written) == names


@pytest.mark.parametrize("written", [[], ["P05", {1: 0}], [1.5], ["P05", 3.0]], ids=str)
def test_a_target_without_datasets_is_refused(written: Datasets) -> None:
    with pytest.raises(UsageError):
        wanted_datasets(written)


def test_a_sample_without_a_dictionary_has_all_targets(galaxies: Workspace) -> None:
    with galaxies.open() as reduction:
        assert Sample(reduction).targets == {"NGC1087": ("1", "2"), "NGC1385": ("1",)}


NAMES: dict[str, tuple[dict[str, Datasets], str, str]] = {
    "target": ({"NGC1086": [1]}, "no exposure belongs to target NGC1086", "did you mean NGC1087?"),
    "dataset": ({"NGC1385": ["P01", {2: 1}]}, "target NGC1385 has no dataset 2", "there are 1"),
}


@pytest.mark.parametrize(("targets", "message", "hint"), NAMES.values(), ids=NAMES)
def test_a_name_that_selects_nothing_is_refused(
    galaxies: Workspace, targets: dict[str, Datasets], message: str, hint: str
) -> None:
    """pymusepipe#11, #13, #17: "Selected 0/0"."""
    with galaxies.open() as reduction, pytest.raises(UsageError) as caught:
        Sample(reduction, targets)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_f35_the_calls_that_are_documented_reduce_a_sample(galaxies: Workspace) -> None:
    """As the README has them, one after the other; calibrations are made once."""
    with galaxies.open() as reduction:
        sample = Sample(reduction, {"NGC1087": ["P05", {1: 1, 2: 1}], "NGC1385": None})
        sample.run_recipes(last="prep_align")
        sample.run_align_bydataset()
        sample.run_scipost("NGC1087")
        results = sample.run_recipes(first="scipost")
        sample.run_align_bygroup()
        final = sample.finalise("NGC1385")

    assert {target: result.error for target, result in results.items()} == {"NGC1087": None, "NGC1385": None}
    assert (results["NGC1087"].ran, results["NGC1087"].hits) == (6, 2)
    assert {made.tag for made in final["NGC1385"].products} >= {"EXPOSURE_MAP", "DATACUBE_FINAL"}
    assert galaxies.engine.recipes.count("muse_bias") == 1


def test_only_what_is_in_the_sample_is_reduced(galaxies: Workspace) -> None:
    with galaxies.open() as reduction:
        sample = Sample(reduction, {"NGC1087": ["P05", {1: 0, 2: 1}]})
        results = sample.run_recipes()

    units = {made.unit for made in results["NGC1087"].products if made.stage in OF_TARGETS}
    assert units == {"NGC1087.2", date_of(TIMES[2]), date_of(TIMES[3])}


def test_a_failure_stays_in_its_target(galaxies: Workspace) -> None:
    """Promise 6."""
    galaxies.engine.fail(Fault.EXIT, "muse_scibasic", where=f"MUSE.{date_of(TIMES[4])}.fits")
    with galaxies.open() as reduction:
        results = Sample(reduction).run_recipes()

    assert results["NGC1087"].error is None
    assert isinstance(results["NGC1385"].error, RecipeFailed)
    assert Stage.COMBINE in {made.stage for made in results["NGC1087"].products}
    assert Stage.COMBINE not in {made.stage for made in results["NGC1385"].products}


def test_parameters_can_be_of_a_target_or_of_a_dataset(galaxies: Workspace) -> None:
    with galaxies.open() as reduction:
        sample = Sample(reduction)
        sample.set_parameters("scipost", "NGC1087", lambdamin="5000")
        sample.set_parameters("scipost", "NGC1087", 2, lambdamin="6000")
        plan = reduction.plan()

    given = {s.unit: dict(s.parameters).get("lambdamin") for s in plan.steps if s.stage is Stage.SCIPOST}
    assert given == {"NGC1087.1": "5000", "NGC1087.2": "6000", "NGC1385.1": None}


def test_a_part_of_a_target_is_not_put_together(galaxies: Workspace) -> None:
    with galaxies.open() as reduction, pytest.raises(UsageError, match="only some datasets of NGC1087"):
        Sample(reduction, {"NGC1087": [1]}).run_finalise()


def test_a_target_outside_the_sample_is_refused(galaxies: Workspace) -> None:
    with galaxies.open() as reduction, pytest.raises(UsageError, match="NGC1385 is not in the sample"):
        Sample(reduction, {"NGC1087": [1]}).run_scipost("NGC1385")
