"""The readable tree: names for people, linked to artifacts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.model import Stage, Step
from pipeline.publish import folder, publish
from provenance.store import Store


def step(unit: str = "T:01", ifus: tuple[int, ...] = (1,), target: str = "calibrations") -> Step:
    return Step(f"flat:{unit}", Stage.FLAT, "muse_flat", unit, target, ifus, (), (), ())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as opened:
        yield opened


def artifact(store: Store, content: str = "pixels") -> Path:
    return store.objects.path(store.objects.put_bytes(content.encode()).digest)


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
    tmp_path: Path, store: Store, link: str, is_same: bool | None, is_link: bool | None
) -> None:
    source = artifact(store)
    publish(tmp_path / "products", step(), (("F", "F-01.fits", source),), link, store.files)

    path = tmp_path / "products" / "calibrations" / "flat" / "T" / "F-01.fits"
    assert path.read_text() == "pixels"
    if is_same is not None:
        assert path.samefile(source) is is_same
        assert path.is_symlink() is is_link
    if link == "copy":
        assert path.stat().st_mode & 0o200


def test_a_name_that_shows_the_right_thing_is_left_alone(tmp_path: Path, store: Store) -> None:
    source = artifact(store)
    products = (("F", "F-01.fits", source),)
    publish(tmp_path, step(), products, "copy", store.files)
    path = folder(tmp_path, step()) / "F-01.fits"
    before = path.stat()
    publish(tmp_path, step(), products, "copy", store.files)

    assert path.stat().st_ino == before.st_ino


def test_a_copy_edited_with_size_and_time_put_back_is_replaced(tmp_path: Path, store: Store) -> None:
    """Promise 4: on file systems whose copies share blocks, every name is such a copy."""
    products = (("F", "F-01.fits", artifact(store)),)
    publish(tmp_path, step(), products, "copy", store.files)
    path = folder(tmp_path, step()) / "F-01.fits"
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_text("PIXELS")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    publish(tmp_path, step(), products, "copy", store.files)

    assert path.read_text() == "pixels"


def test_a_copy_is_not_read_again(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    products = (("F", "F-01.fits", artifact(store)),)
    publish(tmp_path, step(), products, "copy", store.files)
    inode = (folder(tmp_path, step()) / "F-01.fits").stat().st_ino
    monkeypatch.setattr(store.files, "read", lambda path, read: pytest.fail(f"{path} was read"))

    publish(tmp_path, step(), products, "copy", store.files)

    assert (folder(tmp_path, step()) / "F-01.fits").stat().st_ino == inode


def test_a_name_that_shows_something_else_is_replaced(tmp_path: Path, store: Store) -> None:
    for content in ("old", "newer"):
        source = artifact(store, content)
        publish(tmp_path, step(), (("F", "F-01.fits", source),), "hardlink", store.files)

    found = list(folder(tmp_path, step()).iterdir())
    assert [path.read_text() for path in found] == ["newer"]


def test_names_no_longer_made_go_and_those_of_another_ifu_stay(tmp_path: Path, store: Store) -> None:
    source = artifact(store)
    publish(
        tmp_path, step(), (("F", "F-01.fits", source), ("T", "T-01.fits", source)), "hardlink", store.files
    )
    publish(tmp_path, step("T:02", (2,)), (("F", "F-02.fits", source),), "hardlink", store.files)
    both = (("F", "F-01.fits", source), ("T", "T-01.fits", source))
    publish(tmp_path, step(), both, "hardlink", store.files)
    publish(tmp_path, step("T:02", (2,)), (("F", "F-02.fits", source),), "hardlink", store.files)
    publish(tmp_path, step(), (("F", "F-01.fits", source),), "hardlink", store.files)

    assert sorted(path.name for path in folder(tmp_path, step()).iterdir()) == ["F-01.fits", "F-02.fits"]
