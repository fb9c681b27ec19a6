"""`clio diff`: what references mean on either side, what is printed, and with which status it leaves."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import NIGHT_MJD, image, primary, write_raw
from fakes import DIGEST, Fault, Workspace, install_image
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.errors import ConfigError, Exit, UsageError
from pipeline.model import Stage
from provenance.model import Run

Clio = Callable[..., Result]

FLAT = "flat:2023-02-25T14:52:48:01"
NEWER = "sha256:" + "d0" * 32
"""Another image."""
PARTED = "parameter muse.muse_flat.order: 5 -> 7"


@dataclass(frozen=True, slots=True)
class Both:
    """Two workspaces that lie side by side."""

    a: Path
    b: Path
    runs: tuple[Run, Run]
    """Of the flat."""

    @property
    def products(self) -> tuple[Path, ...]:
        """The master flat of each."""
        return tuple(next((folder / "products").rglob("MASTER_FLAT*.fits")) for folder in (self.a, self.b))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The same biases and flats of one IFU; the flat of the second with another parameter."""
    root = tmp_path_factory.mktemp("both")
    first, second = (Workspace.make(root / name, ifus=(1,)) for name in ("a", "b"))
    second.configure("[recipes.muse_flat]\norder = 7\n")
    made = [made.run(Stage.BIAS, Stage.FLAT).events for made in (first, second)]
    runs = [next(e.run for e in events if e.run and e.run.stage == "flat") for events in made]
    return Both(first.root, second.root, (runs[0], runs[1]))


def refusal(result: Result) -> UsageError | ConfigError:
    assert isinstance(result.exception, UsageError | ConfigError)
    assert result.stdout == ""
    return result.exception


def document(result: Result) -> Any:
    assert result.stderr == ""
    return json.loads(result.stdout)


def write_file(path: Path, *pixels: int) -> Path:
    path.write_bytes(primary({}) + image("DATA", pixels))
    return path


def test_a_step_of_two_workspaces(clio: Clio, both: Both) -> None:
    result = clio("diff", "flat", "flat", "-C", both.a, "--other", both.b)

    shown = result.stdout.splitlines()
    assert result.exit_code == Exit.DIFFERENT
    assert shown[0] == (f"A  {FLAT}, run {both.runs[0].run} of {both.runs[0].started} in {both.a}")
    assert shown[1].startswith(f"B  {FLAT}, run {both.runs[1].run}")
    assert shown[2].startswith("two runs of flat: ")
    assert shown[3:6] == ["where they part", f"  {PARTED}", f"    in {FLAT}"]
    assert any(line.startswith("MASTER_FLAT MASTER_FLAT-01.fits: ") for line in shown[6:])


def test_products_are_found_in_the_workspace_they_lie_in(clio: Clio, both: Both) -> None:
    """From anywhere: the current folder is no workspace."""
    result = clio("diff", *both.products, "--json")

    found = document(result)
    assert result.exit_code == Exit.DIFFERENT
    assert [found[side]["place"] for side in "ab"] == [str(both.a), str(both.b)]
    assert [found[side]["run"] for side in "ab"] == [run.run for run in both.runs]
    assert [found[side]["kind"] for side in "ab"] == ["product", "product"]
    assert [root["cause"]["text"] for root in found["roots"]] == [PARTED]
    (pair,) = found["products"]
    assert (pair["tag"], pair["old"]) == ("MASTER_FLAT", found["a"]["digest"])


def test_a_copy_of_a_product_is_known_by_its_digest(clio: Clio, both: Both, tmp_path: Path) -> None:
    shutil.copy(both.products[0], tmp_path / "copy.fits")

    found = document(clio("diff", tmp_path / "copy.fits", both.products[1], "-C", both.a, "--json"))

    assert found["a"]["run"] == both.runs[0].run


def test_two_reductions_are_compared_step_by_step(clio: Clio, both: Both) -> None:
    result = clio("diff", both.a, both.b)

    shown = result.stdout.splitlines()
    assert result.exit_code == Exit.DIFFERENT
    assert shown[:2] == [
        f"A  reduction in {both.a}, 2 steps",
        f"B  reduction in {both.b}, 2 steps",
    ]
    assert shown[3].split() == [FLAT, "differs"]
    assert shown[4:] == ["1 step of 2 the same", "where they part", f"  {PARTED}", f"    in {FLAT}"]


def test_all_steps_are_shown_on_request(clio: Clio, both: Both) -> None:
    shown = clio("diff", both.a, both.b, "--all").stdout

    rows = [line.split() for line in shown.splitlines()]
    assert [FLAT, "differs", both.runs[0].run, both.runs[1].run] in rows
    assert ["bias:2023-02-25T14:24:00:01", "same"] in [row[:2] for row in rows]


def test_a_reduction_is_the_same_as_itself(clio: Clio, both: Both) -> None:
    result = clio("diff", both.a, both.a / ".clio")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "2 steps of 2 the same"


def test_a_call_names_a_reduction(clio: Clio, both: Both) -> None:
    call = both.runs[0].invocation
    assert call is not None

    result = clio("diff", call, both.a, "-C", both.a, "--json")

    assert result.exit_code == 0
    assert document(result)["a"]["kind"] == "reduction"


@pytest.mark.parametrize(("pixels", "code"), [((1, 2), Exit.OK), ((1, 3), Exit.DIFFERENT)])
def test_files_that_no_store_knows_are_compared_as_files(
    clio: Clio, tmp_path: Path, pixels: tuple[int, ...], code: Exit
) -> None:
    files = write_file(tmp_path / "one.fits", 1, 2), write_file(tmp_path / "two.fits", *pixels)

    result = clio("diff", *files)

    shown = result.stdout.splitlines()
    assert result.exit_code == code
    assert shown[0].endswith("made by no run that is known here")
    assert shown[2].startswith("the files: ")


def test_a_product_beside_a_file_from_outside_is_compared_as_a_file(
    clio: Clio, both: Both, tmp_path: Path
) -> None:
    other = write_file(tmp_path / "other.fits", 1, 2)

    found = document(clio("diff", both.products[0], other, "--json"))

    assert [found[side]["kind"] for side in "ab"] == ["product", "file"]
    assert found["comparison"]["sameness"] == found["sameness"]
    assert (found["same"], found["roots"]) == (False, [])


def test_how_either_run_ended_is_told(clio: Clio, both: Both, tmp_path: Path) -> None:
    failing = Workspace.make(tmp_path / "c", ifus=(1,))
    failing.engine.fail(Fault.EXIT, "muse_bias", text="no light")
    (event,) = failing.run(Stage.BIAS).events
    assert event.run is not None

    shown = clio("diff", "bias", event.run.run, "-C", both.a, "--other", failing.root).stdout.splitlines()

    assert shown[2] == "two runs of bias: not comparable"
    assert shown[3].startswith("A ended ok; B ended failed (")


def test_many_frames_of_a_tag_are_counted(clio: Clio, both: Both, tmp_path: Path) -> None:
    """Two nights differ in every raw frame."""
    other = Workspace.make(tmp_path / "c", ifus=(1,))
    start = NIGHT_MJD + 0.60
    for n in range(5):
        write_raw(other.root / "raw", "BIAS", start + n / 1440, start=start, ifus=(1,), seed=f"other {n}")
    other.run(Stage.BIAS)

    some, every = (
        clio("diff", "bias", "bias", "-C", both.a, "--other", other.root, *words).stdout
        for words in ((), ("--all",))
    )

    assert "  2 more of BIAS; --all names them\n" in some
    assert "more of BIAS" not in every
    assert every.count("BIAS") > some.count("BIAS")


def test_raw_frames_are_compared_as_files(clio: Clio, both: Both) -> None:
    first, second = sorted((both.a / "raw").iterdir())[:2]

    found = document(clio("diff", first, second, "--json"))

    assert {found[side]["kind"] for side in "ab"} == {"file"}
    assert found["a"]["name"] == str(first)


def test_packages_of_images_that_are_elsewhere_come_from_the_locks(
    clio: Clio, both: Both, tmp_path: Path
) -> None:
    """Neither image has to be on this machine."""
    third = Workspace.make(tmp_path / "c", ifus=(1,))
    install_image(tmp_path / "c" / "cache", NEWER)
    bill = tmp_path / "c" / "cache" / "images" / NEWER[7:] / "packages.json"
    bill.write_text(bill.read_text().replace("3.13.6-1", "3.13.8-1"))
    third.configure(f'[image]\nreference = "{NEWER}"\n')
    third.run(Stage.BIAS)

    found = document(clio("diff", "bias", "bias", "-C", both.a, "--other", third.root, "--json"))

    (root,) = found["roots"]
    assert (root["cause"]["old"], root["cause"]["new"]) == (DIGEST, NEWER)
    assert [cause["text"] for cause in root["cause"]["causes"]] == ["package esorex: 3.13.6-1 -> 3.13.8-1"]


def test_several_steps_and_one_file_are_not_compared(clio: Clio, both: Both) -> None:
    refused = refusal(clio("diff", both.a, both.products[0]))

    assert refused.message == f"{both.a} is several steps, and {both.products[0]} is not"


def test_a_run_and_a_file_are_not_compared(clio: Clio, both: Both, tmp_path: Path) -> None:
    other = write_file(tmp_path / "other.fits", 1)

    refused = refusal(clio("diff", "flat", other, "-C", both.a))

    assert refused.hint == "name a product of that run"


def test_a_folder_without_a_store_is_refused(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    refused = refusal(clio("diff", tmp_path / "empty", tmp_path / "empty"))

    assert refused.message == f"{tmp_path}/empty is neither a workspace nor a store"


def test_a_step_needs_a_workspace(clio: Clio) -> None:
    assert refusal(clio("diff", "flat", "flat")).message.startswith("no clio.toml in ")


@pytest.mark.parametrize("what", ["steps", "runs", "files"])
def test_every_field_is_documented(clio: Clio, both: Both, what: str) -> None:
    raw = sorted((both.a / "raw").iterdir())[:2]
    words = {"steps": (both.a, both.b), "runs": both.products, "files": raw}[what]

    found = document(clio("diff", *words, "--json"))

    known = documented("clio-diff/1")
    assert found["schema"] == "clio-diff/1"
    assert set(paths(found, known)) <= known.keys()
