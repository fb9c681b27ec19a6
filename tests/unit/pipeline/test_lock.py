"""`clio.lock`: its form, and the image a workspace is pinned to."""

import tomllib
from pathlib import Path

import pytest
from fakes import DIGEST, install_image
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Settings, load
from pipeline.errors import ConfigError, Exit, FileRefused, ImageError, UsageError
from pipeline.lock import (
    Lock,
    LockedFrame,
    LockedProduct,
    LockedStep,
    pin_image,
    read_lock,
    resolve_image,
    write_lock,
)

OTHER = "sha256:" + "d1" * 32


def configured(root: Path, text: str = "") -> Settings:
    (root / "clio.toml").write_text(text)
    return load(root)


IMAGE = {
    "config_digest": DIGEST,
    "platform": "linux/amd64",
    "archive_digest": "sha256:" + "a0" * 32,
    "packages": [{"architecture": "amd64", "name": "esorex", "sha256": "e0" * 32, "version": "3.13.6-1"}],
}


def product(number: int) -> LockedProduct:
    digits = f"{number:064x}"
    return LockedProduct(
        "TRACE_TABLE", f"TRACE_TABLE-{number:02d}.fits", f"fits1:{digits}", f"sha256:{digits}"
    )


def step(number: int, *, clock: str = "2026-11-24T02:41:45Z") -> LockedStep:
    parameters = (("lambdamin", "6400"), ("nifu", str(number)))
    made = tuple(product(number + n) for n in range(3))
    return LockedStep(f"flat:2023-02-25T14:52:48:{number:02d}", f"{number:064x}", clock, parameters, made)


def frame(number: int) -> LockedFrame:
    digits = f"{number:064x}"
    return LockedFrame(
        "FLAT", f"MUSE.2023-02-25T14:5{number}:48.000.fits", f"fits1:{digits}", f"sha256:{digits}"
    )


WHOLE = Lock(IMAGE, "pinned", tuple(map(frame, range(4))), tuple(map(step, range(1, 6))))


def written(folder: Path, lock: Lock) -> str:
    write_lock(folder / "clio.lock", lock)
    return (folder / "clio.lock").read_text()


# Its form


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    text = written(tmp_path, WHOLE)

    assert read_lock(tmp_path / "clio.lock") == WHOLE
    assert tomllib.loads(text)["version"] == 2
    assert not list(tmp_path.glob(".clio.lock*"))


def test_a_clock_that_ran_is_left_out(tmp_path: Path) -> None:
    lock = Lock(IMAGE, "pinned", (frame(1),), (step(1, clock=""),))

    text = written(tmp_path, lock)

    assert "clock" not in text
    assert read_lock(tmp_path / "clio.lock") == lock


def test_every_item_has_a_line_of_its_own(tmp_path: Path) -> None:
    """So that git shows what changed and nothing else."""
    lines = set(written(tmp_path, WHOLE).splitlines())
    other = step(3, clock="2026-11-25T00:00:00Z")

    changed = Lock(IMAGE, "pinned", WHOLE.frames, (*WHOLE.steps[:2], other, *WHOLE.steps[3:]))
    after = set(written(tmp_path, changed).splitlines())

    assert len(lines - after) == len(after - lines) == 1


@given(st.permutations(WHOLE.frames), st.permutations(WHOLE.steps), st.permutations(range(3)))
def test_the_order_of_its_items_changes_no_byte(
    tmp_path_factory: pytest.TempPathFactory,
    frames: list[LockedFrame],
    steps: list[LockedStep],
    order: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("lock")
    shuffled = tuple(
        LockedStep(s.step, s.key, s.clock, s.parameters[::-1], tuple(s.products[n] for n in order))
        for s in steps
    )

    assert written(folder, Lock(IMAGE, "pinned", tuple(frames), shuffled)) == written(folder, WHOLE)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text("abc.-_ \"'\x7f=", min_size=1))
def test_whatever_a_name_holds_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, value: str, option: str
) -> None:
    """Units come from headers, parameters from a person."""
    path = tmp_path_factory.mktemp("lock") / "clio.lock"
    strange = LockedStep(f"scipost:{value}", "0" * 64, "", ((option, value),), ())
    lock = Lock(IMAGE, "pinned", (), (strange,))

    write_lock(path, lock)

    assert read_lock(path) == lock


def test_a_lock_that_says_so_already_is_not_touched(tmp_path: Path) -> None:
    """The quick answer that there is nothing to do rests on its times."""
    path = tmp_path / "clio.lock"
    write_lock(path, WHOLE)
    before = path.stat().st_ctime_ns

    assert not write_lock(path, WHOLE)
    assert path.stat().st_ctime_ns == before


def test_the_image_alone_is_read_without_the_steps(tmp_path: Path) -> None:
    """A command that only asks for the image does not read what twenty thousand steps made."""
    path = tmp_path / "clio.lock"
    path.write_text(f"{written(tmp_path, WHOLE)}this is no TOML")

    assert read_lock(path, image_only=True) == Lock(IMAGE)
    with pytest.raises(ConfigError):
        read_lock(path)


def test_version_1_which_pins_the_image_alone_is_read(tmp_path: Path) -> None:
    text = written(tmp_path, Lock(IMAGE))
    (tmp_path / "clio.lock").write_text(text.replace("version = 2", "version = 1"))

    assert read_lock(tmp_path / "clio.lock") == Lock(IMAGE)


def test_a_place_that_cannot_be_written_is_said_and_the_old_lock_stays(tmp_path: Path) -> None:
    path = tmp_path / "clio.lock"
    path.mkdir()

    with pytest.raises(FileRefused) as caught:
        write_lock(path, WHOLE)

    assert caught.value.message == f"{path} cannot be written: is a directory"
    assert list(tmp_path.iterdir()) == [path]


def test_there_may_be_no_lock_yet(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "clio.lock") is None


REDUCTION = "\n[reduction]\nnumerics = 'pinned'\nframes = []\n"
ROW = "{step = 'bias:a', key = '0', parameters = {}}"
LATER = "{step = 'bias:a', key = '0', clock = 'soon', parameters = {}}"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("version = 3\n", "{path} is no lock of version 1 or 2", "use a newer clio"),
        ("", "{path} is no lock of version 1 or 2", "bring it back from git, or remove it"),
        ("version = 2\n", "{path} is no whole lock: KeyError('image')", "bring it back"),
        ("version = 2\n[image]\nconfig_digest = 7\n", "{path} is no whole lock: TypeError", "bring it back"),
        ("version", "cannot read {path}: ", "bring it back from git, or remove it"),
        (f"{{head}}{REDUCTION}", "{path} is no whole lock: KeyError('steps')", "bring it back"),
        (
            f"{{head}}{REDUCTION}steps = [{ROW}]\nproducts = [{{step = 'bias:b'}}]",
            "{path} is no whole lock: KeyError('bias:b')",
            "bring it back",
        ),
        (
            f"{{head}}{REDUCTION}steps = [{LATER}]\nproducts = []",
            "{path} is no whole lock: ValueError",
            "bring it back",
        ),
    ],
    ids=["newer", "empty", "no-image", "no-digest", "no-toml", "no-steps", "no-such-step", "no-clock"],
)
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str, message: str, hint: str) -> None:
    path = tmp_path / "clio.lock"
    path.write_text(text.replace("{head}", written(tmp_path, Lock(IMAGE))))

    with pytest.raises(ConfigError) as caught:
        read_lock(path)

    assert caught.value.message.startswith(message.format(path=path))
    assert caught.value.hint.startswith(hint)


# The image


def test_pinning_the_same_image_again_keeps_what_was_made_with_it(tmp_path: Path) -> None:
    path = tmp_path / "clio.lock"
    write_lock(path, WHOLE)
    image = install_image(tmp_path / "cache").list()[0]

    assert pin_image(path, image) == read_lock(path) == WHOLE


def test_pinning_another_image_drops_what_was_made_with_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "clio.lock"
    write_lock(path, WHOLE)
    image = install_image(tmp_path / "cache", OTHER).list()[0]

    assert pin_image(path, image) == read_lock(path)
    assert pin_image(path, image).config_digest == OTHER
    assert pin_image(path, image).steps == ()


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


def test_where_the_lock_may_not_be_written_it_is_not(tmp_path: Path) -> None:
    settings = configured(tmp_path)

    assert resolve_image(settings, install_image(tmp_path / "cache"), pin=False).config_digest == DIGEST
    assert not settings.lock.exists()


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
    pin_image(settings.lock, image)
    library = install_image(tmp_path / "there", OTHER)

    with pytest.raises(ImageError, match=f"there is no image {DIGEST}"):
        resolve_image(settings, library)


def test_a_tag_is_refused(tmp_path: Path) -> None:
    """Promise 3: a moved tag must not change a result in silence."""
    settings = configured(tmp_path, '[image]\nreference = "muse:latest"\n')

    with pytest.raises(UsageError, match="has no digest"):
        resolve_image(settings, install_image(tmp_path / "cache"))
