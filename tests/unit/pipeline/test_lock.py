"""`clio.lock`: the image a workspace is pinned to."""

from pathlib import Path

import pytest
from fakes import DIGEST, install_image

from pipeline.config import Settings, load
from pipeline.errors import ConfigError, Exit, ImageError, UsageError
from pipeline.lock import read_lock, resolve_image, write_lock

OTHER = "sha256:" + "d1" * 32


def configured(root: Path, text: str = "") -> Settings:
    (root / "clio.toml").write_text(text)
    return load(root)


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    image = install_image(tmp_path / "cache").list()[0]
    written = write_lock(tmp_path / "clio.lock", image)

    found = read_lock(tmp_path / "clio.lock")

    assert found == written
    assert found is not None
    assert found.config_digest == DIGEST
    assert found.image["packages"][0]["name"] == "esorex"
    assert not list(tmp_path.glob(".clio.lock*"))


def test_there_may_be_no_lock_yet(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "clio.lock") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 2\n[image]\nconfig_digest = 'x'\n", "{path} is no lock of version 1"),
        ("version = 1\n", "{path} is no lock of version 1"),
        ("version", "cannot read {path}: "),
    ],
    ids=["newer", "no-image", "no-toml"],
)
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "clio.lock"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        read_lock(path)

    assert caught.value.message.startswith(message.format(path=path))


def test_the_only_image_is_taken_and_pinned(tmp_path: Path) -> None:
    library = install_image(tmp_path / "cache")
    settings = configured(tmp_path)

    assert resolve_image(settings, library).config_digest == DIGEST
    pinned = read_lock(settings.lock)
    assert pinned is not None
    assert pinned.config_digest == DIGEST


def test_the_lock_decides_between_images(tmp_path: Path) -> None:
    library = install_image(tmp_path / "cache")
    settings = configured(tmp_path)
    resolve_image(settings, library)
    install_image(tmp_path / "cache", OTHER)

    assert resolve_image(settings, library).config_digest == DIGEST


def test_the_settings_win_over_the_lock_and_pin_anew(tmp_path: Path) -> None:
    library = install_image(tmp_path / "cache")
    resolve_image(configured(tmp_path), library)
    install_image(tmp_path / "cache", OTHER)
    settings = configured(tmp_path, f'[image]\nreference = "muse@{OTHER}"\n')

    assert resolve_image(settings, library).config_digest == OTHER
    pinned = read_lock(settings.lock)
    assert pinned is not None
    assert pinned.config_digest == OTHER


def test_several_images_and_nothing_that_says_which_is_refused(tmp_path: Path) -> None:
    library = install_image(tmp_path / "cache")
    install_image(tmp_path / "cache", OTHER)

    with pytest.raises(ImageError) as caught:
        resolve_image(configured(tmp_path), library)

    assert caught.value.message == f"there are several recipe images on this machine: {DIGEST}, {OTHER}"
    assert caught.value.hint == "name one in clio.toml: [image] reference"
    assert caught.value.exit_code is Exit.ENGINE


def test_no_image_is_refused_with_how_to_get_one(tmp_path: Path) -> None:
    from pipeline.image import ImageLibrary

    with pytest.raises(ImageError) as caught:
        resolve_image(configured(tmp_path), ImageLibrary(tmp_path / "cache"))

    assert caught.value.message == "there is no recipe image on this machine"
    assert caught.value.hint == "build one with: clio image build"


def test_a_pinned_image_that_is_not_here_is_refused(tmp_path: Path) -> None:
    image = install_image(tmp_path / "here").list()[0]
    settings = configured(tmp_path)
    write_lock(settings.lock, image)
    library = install_image(tmp_path / "there", OTHER)

    with pytest.raises(ImageError, match=f"there is no image {DIGEST}"):
        resolve_image(settings, library)


def test_a_tag_is_refused(tmp_path: Path) -> None:
    """Promise 3: a moved tag must not change a result in silence."""
    settings = configured(tmp_path, '[image]\nreference = "muse:latest"\n')

    with pytest.raises(UsageError, match="has no digest"):
        resolve_image(settings, install_image(tmp_path / "cache"))
