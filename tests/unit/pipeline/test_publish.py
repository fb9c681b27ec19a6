"""The readable tree: names for people, linked to artifacts."""

from pathlib import Path

import pytest

from pipeline.model import Stage, Step
from pipeline.publish import folder, publish


def step(unit: str = "T:01", ifus: tuple[int, ...] = (1,), target: str = "calibrations") -> Step:
    return Step(f"flat:{unit}", Stage.FLAT, "muse_flat", unit, target, ifus, (), (), ())


def artifact(root: Path, content: str = "pixels") -> Path:
    path = root / "objects" / content
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(0o444)
    return path


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (step(), "calibrations/flat/T"),
        (step("E", (1, 2), "NGC 1"), "NGC_1/flat/E"),
        (step("E", (1,), "../../etc"), "__.._etc/flat/E"),
        (step("1001", (1,), ""), "_/flat/1001"),
    ],
    ids=["ifu", "target", "hostile", "nameless"],
)
def test_products_are_filed_by_target_stage_and_unit(made: Step, place: str) -> None:
    assert folder(Path("products"), made) == Path("products", place)


@pytest.mark.parametrize("target", ["..", "."])
def test_a_target_cannot_lead_out_of_the_tree(target: str) -> None:
    root = Path("/galaxy/products")

    assert root in Path(*folder(root, step(target=target)).parts).parents
    assert ".." not in folder(root, step(target=target)).parts


@pytest.mark.parametrize(
    ("link", "is_same", "is_link"),
    [("auto", None, None), ("hardlink", True, False), ("symlink", True, True), ("copy", False, False)],
)
def test_a_product_is_shown_as_asked(
    tmp_path: Path, link: str, is_same: bool | None, is_link: bool | None
) -> None:
    source = artifact(tmp_path)
    publish(tmp_path / "products", step(), (("F", "F-01.fits", source),), link)

    path = tmp_path / "products" / "calibrations" / "flat" / "T" / "F-01.fits"
    assert path.read_text() == "pixels"
    if is_same is not None:
        assert path.samefile(source) is is_same
        assert path.is_symlink() is is_link
    if link == "copy":
        assert path.stat().st_mode & 0o200


def test_a_name_that_shows_the_right_thing_is_left_alone(tmp_path: Path) -> None:
    source = artifact(tmp_path)
    products = (("F", "F-01.fits", source),)
    publish(tmp_path, step(), products, "copy")
    path = folder(tmp_path, step()) / "F-01.fits"
    before = path.stat()
    publish(tmp_path, step(), products, "copy")

    assert path.stat().st_ino == before.st_ino


def test_a_name_that_shows_something_else_is_replaced(tmp_path: Path) -> None:
    for content in ("old", "newer"):
        source = artifact(tmp_path, content)
        publish(tmp_path, step(), (("F", "F-01.fits", source),), "hardlink")

    found = list(folder(tmp_path, step()).iterdir())
    assert [path.read_text() for path in found] == ["newer"]


def test_names_no_longer_made_go_and_those_of_another_ifu_stay(tmp_path: Path) -> None:
    source = artifact(tmp_path)
    publish(tmp_path, step(), (("F", "F-01.fits", source), ("T", "T-01.fits", source)), "hardlink")
    publish(tmp_path, step("T:02", (2,)), (("F", "F-02.fits", source),), "hardlink")
    publish(tmp_path, step(), (("F", "F-01.fits", source),), "hardlink")

    assert sorted(path.name for path in folder(tmp_path, step()).iterdir()) == ["F-01.fits", "F-02.fits"]
