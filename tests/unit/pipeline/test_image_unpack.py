"""Unpacking layers that somebody else may have made, and noticing later edits."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pipeline.errors import ImageError
from pipeline.image.archive import ArchiveIndex
from pipeline.image.unpack import MOUNT_POINTS, inside, listing_digest, unpack


def entry(
    name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(content), 0o755
    info.pax_headers = {"content": content.decode()}
    return info


def symlink(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, kind=tarfile.SYMTYPE, link=target)


def directory(name: str) -> tarfile.TarInfo:
    return entry(name, kind=tarfile.DIRTYPE)


def layer(entries: Iterable[tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info in entries:
            content = info.pax_headers.pop("content").encode()
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(
    tmp_path: Path, *layers: list[tarfile.TarInfo], pack: Callable[[bytes], bytes] = bytes, lie: str = ""
) -> Path:
    """Write an archive of layers, unpack it, and give the directory."""
    archive, names, digests = tmp_path / "archive.tar", [], []
    with tarfile.open(archive, "w") as tar:
        for number, entries in enumerate(layers):
            data = layer(entries)
            digests.append(lie or f"sha256:{hashlib.sha256(data).hexdigest()}")
            packed = pack(data)
            info = tarfile.TarInfo(f"{number}.tar")
            info.size = len(packed)
            names.append(info.name)
            tar.addfile(info, io.BytesIO(packed))
    root = tmp_path / "rootfs"
    unpack(archive, ArchiveIndex("sha256:" + "0" * 64, "linux/amd64", tuple(digests), tuple(names)), root)
    return root


def names(root: Path) -> set[str]:
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    return found - set(MOUNT_POINTS)


def test_files_links_and_modes_come_out_as_they_went_in(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [
            directory("usr"),
            entry("usr/a", b"text"),
            entry("usr/b", kind=tarfile.LNKTYPE, link="usr/a"),
            symlink("bin", "usr"),
        ],
    )

    assert names(root) == {"usr", "usr/a", "usr/b", "bin"}
    assert (root / "usr/a").read_text() == "text"
    assert (root / "usr/a").stat().st_mode & 0o7777 == 0o755
    assert (root / "usr/a").samefile(root / "usr/b")
    assert os.readlink(root / "bin") == "usr"  # noqa: PTH115


def test_places_to_mount_on_are_there(tmp_path: Path) -> None:
    root = unpacked(tmp_path, [entry("a")])

    assert all((root / name).is_dir() for name in MOUNT_POINTS)


def test_packed_layers_are_unpacked(tmp_path: Path) -> None:
    root = unpacked(tmp_path, [entry("a", b"text")], pack=gzip.compress)

    assert (root / "a").read_text() == "text"


def test_later_layers_replace_and_remove(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [directory("d"), entry("d/old"), entry("d/gone"), entry("e/x"), entry("f", b"1"), entry("g")],
        [
            entry("d/.wh.gone"),
            entry("e/new"),
            entry("e/.wh..wh..opq"),
            entry("f", b"2"),
            directory("g"),
            entry("g/h"),
        ],
    )

    assert names(root) == {"d", "d/old", "e", "e/new", "f", "g", "g/h"}
    assert (root / "f").read_text() == "2"


def test_links_of_lower_layers_are_followed_inside_the_root(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [directory("usr"), directory("usr/lib"), symlink("lib", "/usr/lib"), symlink("x", "../../../usr")],
        [entry("lib/new"), entry("x/also")],
    )

    assert {"usr/lib/new", "usr/also"} <= names(root)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([entry("../evil", b"x")], id="climbs"),
        pytest.param([entry("a/../../evil", b"x")], id="climbs later"),
        pytest.param([symlink("a", "a"), entry("a/b")], id="circle"),
        pytest.param([entry("a", kind=tarfile.LNKTYPE, link="../secret")], id="hard link out"),
        pytest.param(
            [symlink("s", "../secret"), entry("a", kind=tarfile.LNKTYPE, link="s")], id="link to a link"
        ),
    ],
)
def test_members_that_reach_out_are_refused_promise_9(tmp_path: Path, entries: list[tarfile.TarInfo]) -> None:
    (tmp_path / "secret").write_text("secret")

    with pytest.raises(ImageError):
        unpacked(tmp_path, entries)

    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("way", ["{outside}", "../outside"])
def test_links_out_of_the_root_lead_nowhere_promise_9(tmp_path: Path, way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    unpacked(tmp_path, [symlink("door", way.format(outside=outside)), entry("door/evil", b"x")])

    assert list(outside.iterdir()) == []


def test_absolute_names_stay_inside(tmp_path: Path) -> None:
    root = unpacked(tmp_path, [entry("/etc/passwd", b"mine")])

    assert (root / "etc/passwd").read_text() == "mine"


def test_devices_and_set_id_bits_are_left_out(tmp_path: Path) -> None:
    device, program = entry("null", kind=tarfile.CHRTYPE), entry("su")
    program.mode = 0o6755

    root = unpacked(tmp_path, [device, program])

    assert names(root) == {"su"}
    assert (root / "su").stat().st_mode & 0o7777 == 0o755


def test_layer_with_another_digest_is_refused_promise_9(tmp_path: Path) -> None:
    with pytest.raises(
        ImageError, match=r"a layer of .* has the digest sha256:.*; its configuration names sha256:0"
    ):
        unpacked(tmp_path, [entry("a")], lie="sha256:" + "0" * 64)


def test_layer_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is not a whole tar file"):
        unpacked(tmp_path, [entry("a")], pack=lambda data: b"x" * 600)


def edit_content(file: Path) -> None:
    """Change a byte and put size and time back, as a careful vandal would."""
    before = file.stat()
    file.write_bytes(b"TEXT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(edit_content, id="content"),
        pytest.param(lambda file: file.unlink(), id="removed"),
        pytest.param(lambda file: file.with_name("b").touch(), id="added"),
        pytest.param(lambda file: file.chmod(0o600), id="mode"),
        pytest.param(lambda file: file.rename(file.with_name("c")), id="renamed"),
    ],
)
def test_listing_digest_notices_edits(tmp_path: Path, edit: Callable[[Path], None]) -> None:
    root = unpacked(tmp_path, [directory("d"), entry("d/a", b"text")])
    before = listing_digest(root)

    edit(root / "d/a")

    assert listing_digest(root) != before


def test_listing_digest_does_not_mind_reading(tmp_path: Path) -> None:
    root = unpacked(tmp_path, [entry("a", b"text")])
    before = listing_digest(root)

    (root / "a").read_bytes()

    assert listing_digest(root) == before


def test_inside_does_not_follow_the_last_component(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")

    assert inside(tmp_path, "/link") == tmp_path / "link"
