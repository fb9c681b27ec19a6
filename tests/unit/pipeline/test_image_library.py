"""The images on this machine: found by digest, taken in whole, and read without a container."""

import io
import json
import tarfile
import threading
from pathlib import Path

import pytest

from pipeline.engine import Engine, EngineRequest, EngineResult, RecipeImage
from pipeline.errors import EngineUnavailable, ImageError, UsageError
from pipeline.image import ImageLibrary, changed_rootfs, compare_packages, lock_document
from pipeline.places import cache_root

ROW = {"architecture": "amd64", "name": "esorex", "sha256": "a" * 64, "version": "3.13.6+ds-1"}


class NoEngine:
    """Answers for an engine that must not be asked."""

    name = "none"

    def version(self) -> str:
        raise EngineUnavailable("no engine here")

    def prepare(self, image: RecipeImage) -> None:
        raise EngineUnavailable("no engine here")

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        raise EngineUnavailable("no engine here")


def rootfs_tar(path: Path, bill: object = (ROW,), content: bytes = b"program") -> Path:
    files = {"usr/bin/esorex": content}
    if bill is not None:
        files["usr/share/clio/packages.json"] = json.dumps(bill).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def library(tmp_path: Path) -> ImageLibrary:
    return ImageLibrary(tmp_path / "cache")


@pytest.fixture
def image(library: ImageLibrary, tmp_path: Path) -> RecipeImage:
    return library.add_rootfs(rootfs_tar(tmp_path / "rootfs.tar"))


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("CLIO_CACHE", raising=False)
    assert cache_root() == Path("/x/clio")

    monkeypatch.setenv("CLIO_CACHE", "/c")
    assert cache_root() == Path("/c")

    monkeypatch.delenv("CLIO_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache/clio"


def test_empty_library_lists_nothing(library: ImageLibrary) -> None:
    assert library.list() == ()


def test_image_taken_in_is_found_and_listed(library: ImageLibrary, image: RecipeImage) -> None:
    assert library.find(image.config_digest) == image
    assert library.find(f"muse@{image.config_digest}") == image
    assert library.list() == (image,)
    assert (image.rootfs / "usr/bin/esorex").read_bytes() == b"program"
    assert not changed_rootfs(image)


def test_archive_gives_the_image_it_was_made_of(
    library: ImageLibrary, image: RecipeImage, tmp_path: Path
) -> None:
    other = ImageLibrary(tmp_path / "other").add(image.archive)

    assert other.config_digest == image.config_digest
    assert library.add(image.archive) == image


def test_nothing_half_made_stays(library: ImageLibrary, image: RecipeImage, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(image.archive.read_bytes()[:-20_000])

    with pytest.raises(ImageError):
        ImageLibrary(tmp_path / "other").add_archive(cut)

    assert list((library.root / "images").iterdir()) == [image.archive.parent]
    assert list((tmp_path / "other").rglob("*.tar")) == []


def test_find_names_what_is_missing_and_what_is_there(library: ImageLibrary, image: RecipeImage) -> None:
    with pytest.raises(ImageError) as caught:
        library.find("sha256:" + "0" * 64)

    assert f"there is no image sha256:{'0' * 64}" in caught.value.message
    assert image.config_digest[7:19] in caught.value.message
    assert "clio image build" in caught.value.hint


def test_find_refuses_a_tag(library: ImageLibrary) -> None:
    with pytest.raises(UsageError, match="has no digest"):
        library.find("muse:latest")


def test_removed_root_file_system_is_unpacked_again(library: ImageLibrary, image: RecipeImage) -> None:
    image.rootfs.rename(image.rootfs.with_name("elsewhere"))
    assert changed_rootfs(image)

    found = library.find(image.config_digest)

    assert (found.rootfs / "usr/bin/esorex").read_bytes() == b"program"
    assert not changed_rootfs(found)


def test_verify_finds_damage_promise_4(library: ImageLibrary, image: RecipeImage) -> None:
    assert library.verify(image) == ()

    (image.rootfs / "usr/bin/esorex").write_bytes(b"PROGRAM")
    data = bytearray(image.archive.read_bytes())
    data[5000] ^= 1
    image.archive.write_bytes(data)

    archive, rootfs = library.verify(image)
    assert archive == f"{image.archive} is not the archive that was stored; remove {image.archive.parent}"
    assert rootfs == f"{image.rootfs} was changed; remove it, and it is unpacked again from the archive"


def test_packages_come_from_inside_the_image(library: ImageLibrary, image: RecipeImage) -> None:
    (package,) = library.packages(image)

    assert (package.name, package.version, package.sha256) == ("esorex", "3.13.6+ds-1", "a" * 64)


def test_lock_document_says_what_the_image_is(image: RecipeImage) -> None:
    lock = lock_document(image)

    assert lock["config_digest"] == image.config_digest
    assert lock["platform"] == "linux/amd64"
    assert lock["packages"] == [ROW]
    assert lock["archive_digest"].startswith("sha256:")
    assert compare_packages(image, lock) == ()


def test_compare_packages_names_what_moved(image: RecipeImage) -> None:
    lock = {"packages": [{**ROW, "version": "3.13.5-1", "sha256": "b" * 64}]}

    assert compare_packages(image, lock) == ("esorex 3.13.5-1 is wanted, 3.13.6+ds-1 is what there is",)


@pytest.mark.parametrize(
    ("bill", "message"),
    [
        pytest.param(None, "has no /usr/share/clio/packages.json", id="none"),
        pytest.param({"a": 1}, "is no list of packages", id="no list"),
        pytest.param([{"name": "esorex"}], "is no list of packages", id="row cut"),
        pytest.param([], "of 0 architectures; one is wanted", id="empty"),
        pytest.param(
            [ROW, {**ROW, "architecture": "arm64"}], "of 2 architectures; one is wanted", id="mixed"
        ),
    ],
)
def test_root_file_system_without_a_usable_bill_is_refused(
    library: ImageLibrary, tmp_path: Path, bill: object, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        library.add_rootfs(rootfs_tar(tmp_path / "r.tar", bill))


def test_parameters_are_read_from_disk_without_an_engine(library: ImageLibrary, image: RecipeImage) -> None:
    engine: Engine = NoEngine()
    with pytest.raises(EngineUnavailable):
        library.parameters(image, engine, "muse_bias")

    kept = image.archive.with_name("parameters")
    kept.mkdir()
    row = {"name": "muse.muse_bias.nifu", "option": "nifu", "value": "0", "kind": "int", "choices": []}
    (kept / "muse_bias.json").write_text(json.dumps([{**row, "low": "-1", "high": "24", "help": "IFU"}]))
    image.archive.with_name("recipes.json").write_text('[{"name": "muse_bias", "version": "2.8.7"}]')

    (parameter,) = library.parameters(image, engine, "muse_bias")
    assert (parameter.option, parameter.value, parameter.choices, parameter.high) == ("nifu", "0", (), "24")
    assert library.recipes(image, engine) == (("muse_bias", "2.8.7"),)
    with pytest.raises(ImageError, match="has no recipe 'muse_nias'") as caught:
        library.parameters(image, engine, "muse_nias")
    assert caught.value.hint == "it has muse_bias"
