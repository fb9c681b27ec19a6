"""`clio image ...`: what the verbs print on both streams, and what they refuse. No container, no mirror."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import DIGEST, install_image
from typer.testing import Result

from pipeline.errors import Exit, ImageError, UsageError

Clio = Callable[..., Result]


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """The digest of the only image on this machine."""
    install_image(tmp_path / "cache")
    return DIGEST


def rootfs(path: Path, content: bytes = b"program") -> Path:
    row = {"architecture": "amd64", "name": "esorex", "sha256": "a" * 64, "version": "3.13.6+ds-1"}
    bill = json.dumps([row]).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in (("usr/bin/esorex", content), ("usr/share/clio/packages.json", bill)):
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def refusal(result: Result) -> UsageError | ImageError:
    assert isinstance(result.exception, UsageError | ImageError)
    assert result.stdout == ""
    return result.exception


def test_list_says_that_there_is_nothing(clio: Clio, tmp_path: Path) -> None:
    result = clio("image", "list")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"no images in {tmp_path}/cache; build one with: clio image build\n"


def test_list_prints_whole_digests(clio: Clio, installed: str) -> None:
    result = clio("image", "list")

    header, row = result.stdout.splitlines()
    assert header.split() == ["digest", "platform", "recipes", "from"]
    assert row.split() == [installed, "linux/amd64", "esorex", "3.13.6-1"]


def test_list_as_json_counts_the_packages(clio: Clio, installed: str, tmp_path: Path) -> None:
    archive = tmp_path / "cache" / "images" / installed[7:] / "archive.tar"

    assert json.loads(clio("image", "list", "--json").stdout) == {
        "schema": "clio-image-list/1",
        "images": [
            {
                "digest": installed,
                "platform": "linux/amd64",
                "archive": str(archive),
                "archive_bytes": 0,
                "packages": 1,
            }
        ],
    }


@pytest.mark.parametrize("named", ["", DIGEST, DIGEST[7:15], f"muse@{DIGEST}"])
def test_show_finds_an_image_by_its_digest_or_takes_the_only_one(
    clio: Clio, installed: str, named: str
) -> None:
    result = clio("image", "show", *filter(None, [named]))

    shown = result.stdout.splitlines()
    assert (result.exit_code, shown[0]) == (0, f"image     {installed}")
    assert ["muse_bias", "2.8.7"] in [line.split() for line in shown]
    assert shown[-1].split() == ["esorex", "3.13.6-1", "e0" * 6]


def test_show_as_json_lists_packages_and_recipes(clio: Clio, installed: str) -> None:
    found = json.loads(clio("image", "show", "--json").stdout)

    assert (found["schema"], found["digest"]) == ("clio-image/1", installed)
    assert {"name": "muse_flat", "version": "2.8.7"} in found["recipes"]
    package = {"name": "esorex", "version": "3.13.6-1", "architecture": "amd64", "sha256": "e0" * 32}
    assert found["packages"] == [package]


def test_show_in_a_workspace_is_of_the_image_it_pins(clio: Clio, installed: str, workspace: Path) -> None:
    other = "sha256:" + "d1" * 32
    install_image(workspace / "cache", other)
    (workspace / "clio.toml").write_text(f'[image]\nreference = "{other}"\n')

    assert clio("image", "show").stdout.startswith(f"image     {other}\n")
    assert clio("image", "show", installed).stdout.startswith(f"image     {installed}\n")


@pytest.mark.usefixtures("installed")
def test_show_asks_which_of_several(clio: Clio, tmp_path: Path) -> None:
    other = "sha256:" + "d1" * 32
    install_image(tmp_path / "cache", other)
    error = refusal(clio("image", "show"))

    assert error.exit_code is Exit.USAGE
    assert error.message == f"there are several images on this machine: {DIGEST}, {other}"


@pytest.mark.parametrize("verb", ["show", "verify", "import"])
@pytest.mark.usefixtures("installed")
def test_a_reference_by_tag_alone_is_refused(clio: Clio, verb: str) -> None:
    error = refusal(clio("image", verb, "muse:2.8.7"))

    assert error.exit_code is Exit.USAGE
    assert error.message == (
        "the image reference 'muse:2.8.7' has no digest; a tag can be moved, and results would change unseen"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show",), "there is no recipe image on this machine"),
        (("show", "deadbeef"), "there is no image deadbeef... on this machine"),
        (("verify", DIGEST), f"there is no image {DIGEST} in "),
    ],
)
def test_an_image_that_is_not_here_is_an_error_of_the_engine(
    clio: Clio, words: tuple[str, ...], message: str
) -> None:
    error = refusal(clio("image", *words))

    assert error.exit_code is Exit.ENGINE
    assert error.message.startswith(message)


def test_import_takes_a_root_file_system_and_an_archive_of_it(
    clio: Clio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exported here and imported elsewhere, an image keeps its digest."""
    imported = clio("image", "import", rootfs(tmp_path / "rootfs.tar"))
    digest = imported.stdout.strip()
    assert (imported.exit_code, digest[:7], len(digest)) == (0, "sha256:", 71)

    exported = clio("image", "export", "image.tar")
    assert (exported.stdout, exported.stderr) == (f"{digest}\n", "written to image.tar\n")

    monkeypatch.setenv("CLIO_CACHE", str(tmp_path / "elsewhere"))
    again = json.loads(clio("image", "import", "image.tar", "--json").stdout)
    assert (again["schema"], again["digest"]) == ("clio-image/1", digest)


def test_import_by_digest_finds_what_is_here(clio: Clio, installed: str) -> None:
    assert clio("image", "import", f"muse@{installed}").stdout == f"{installed}\n"


def test_import_refuses_what_is_no_image(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "notes.tar").write_text("no tar at all")
    damaged, missing = clio("image", "import", "notes.tar"), clio("image", "import", "missing.tar")

    assert refusal(damaged).exit_code is Exit.ENGINE
    assert "notes.tar is not a whole tar file" in refusal(damaged).message
    assert refusal(missing).exit_code is Exit.USAGE
    assert refusal(missing).message == "there is no file missing.tar"


@pytest.mark.usefixtures("installed")
def test_export_overwrites_nothing(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("mine")
    error = refusal(clio("image", "export", "image.tar"))

    assert error.message == "image.tar is there already"
    assert (tmp_path / "image.tar").read_text() == "mine"


def test_verify_names_damage_and_leaves_with_5(clio: Clio, tmp_path: Path) -> None:
    digest = clio("image", "import", rootfs(tmp_path / "rootfs.tar")).stdout.strip()
    sound = clio("image", "verify")
    assert (sound.exit_code, sound.stdout) == (0, f"ok: {digest}\n")

    home = tmp_path / "cache" / "images" / digest[7:]
    (home / "archive.tar").chmod(0o644)
    (home / "archive.tar").write_bytes(b"something else")
    damaged = clio("image", "verify", "--json")

    found = json.loads(damaged.stdout)
    assert damaged.exit_code == Exit.ENGINE
    assert (found["schema"], found["digest"], found["ok"]) == ("clio-image-verify/1", digest, False)
    assert found["problems"] == [f"{home}/archive.tar is not the archive that was stored; remove {home}"]


def test_build_updates_a_lock_only_in_a_workspace(clio: Clio) -> None:
    error = refusal(clio("image", "build", "--update-lock"))

    assert error.message == "there is no workspace here whose lock could be updated"


def test_build_needs_the_program_that_builds(
    clio: Clio, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(workspace))
    error = refusal(clio("image", "build"))

    assert error.exit_code is Exit.ENGINE
    assert error.message == "mmdebstrap is not installed, so the recipe image cannot be built here"
    assert not (workspace / "clio.lock").exists()
