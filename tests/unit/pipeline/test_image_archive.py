"""Image archives: the same bytes from the same root file system, and nothing believed that can be checked."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from pipeline.errors import ImageError
from pipeline.image.archive import EPOCH, is_archive, open_layer, read_index, write_archive


def write_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def plain_rootfs(path: Path) -> Path:
    return write_tar(
        path,
        (member("usr", tarfile.DIRTYPE), b""),
        (member("usr/esorex"), b"program"),
        (member("bin", tarfile.SYMTYPE, linkname="usr"), b""),
    )


def layer_of(archive: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    index = read_index(archive)
    with open_layer(archive, index.layers[0]) as stream, tarfile.open(fileobj=stream) as layer:
        return {
            info.name: (info, (layer.extractfile(info) or io.BytesIO()).read() if info.isreg() else b"")
            for info in layer
        }


def test_archive_depends_on_the_root_file_system_alone_promise_2(tmp_path: Path) -> None:
    plain = plain_rootfs(tmp_path / "plain.tar")
    # The same, packed by somebody else, elsewhere, later, in another order.
    other = write_tar(
        tmp_path / "other.tar",
        (member("./bin", tarfile.SYMTYPE, linkname="usr", mtime=7, uid=1000, uname="me"), b""),
        (member("./usr/esorex", mtime=1.5, uid=1000, gid=7, mode=0o104755), b"program"),
        (member("./usr", tarfile.DIRTYPE, mtime=9), b""),
        (member("./.dockerenv"), b""),
        (member("./dev", tarfile.DIRTYPE), b""),
        (member("./dev/null", tarfile.CHRTYPE), b""),
    )

    digests = [
        write_archive(tar, tmp_path / f"{tar.stem}.archive", architecture="amd64") for tar in (plain, other)
    ]

    assert digests[0] == digests[1]
    assert (tmp_path / "plain.archive").read_bytes() == (tmp_path / "other.archive").read_bytes()
    assert not list(tmp_path.glob("*.layer"))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param((member("usr/esorex"), b"other"), id="content"),
        pytest.param((member("usr/esorex", mode=0o644), b"program"), id="mode"),
        pytest.param((member("usr/esorez"), b"program"), id="name"),
        pytest.param((member("usr/esorex", tarfile.SYMTYPE, linkname="/bin"), b""), id="kind"),
    ],
)
def test_any_change_of_the_root_file_system_is_another_image_promise_3(
    tmp_path: Path, changed: tuple[tarfile.TarInfo, bytes]
) -> None:
    before = write_tar(tmp_path / "before.tar", (member("usr/esorex"), b"program"))
    after = write_tar(tmp_path / "after.tar", changed)

    digests = {write_archive(tar, tmp_path / "a", architecture="amd64") for tar in (before, after)}

    assert len(digests) == 2


def test_architecture_is_part_of_the_image(tmp_path: Path) -> None:
    rootfs = plain_rootfs(tmp_path / "r.tar")

    digests = {write_archive(rootfs, tmp_path / a, architecture=a) for a in ("amd64", "arm64")}

    assert len(digests) == 2
    assert read_index(tmp_path / "arm64").platform == "linux/arm64"


def test_layer_says_nothing_of_who_packed_it_and_when(tmp_path: Path) -> None:
    rootfs = write_tar(
        tmp_path / "r.tar",
        (member("a", mode=0o106755, uid=5, gid=6, uname="u", gname="g", mtime=3), b"x"),
        (member("b", tarfile.LNKTYPE, linkname="a"), b""),
        (member("etc/hosts", mode=0o755), b"127.0.0.1 here"),
        (member("pipe", tarfile.FIFOTYPE), b""),
    )

    write_archive(rootfs, tmp_path / "image", architecture="amd64")

    layer = layer_of(tmp_path / "image")
    assert list(layer) == ["a", "b", "etc/hosts"]
    info, _ = layer["a"]
    assert (info.mode, info.uid, info.gid, info.uname, info.gname, info.mtime) == (0o755, 0, 0, "", "", EPOCH)
    assert layer["b"][0].isreg()
    assert layer["b"][1] == b"x"
    assert layer["etc/hosts"][1] == b""


def test_read_index_reads_what_was_written(tmp_path: Path) -> None:
    digest = write_archive(plain_rootfs(tmp_path / "r.tar"), tmp_path / "image", architecture="amd64")

    index = read_index(tmp_path / "image")

    assert index.config_digest == digest
    assert index.layers == (f"blobs/sha256/{index.diff_ids[0].removeprefix('sha256:')}",)
    assert is_archive(tmp_path / "image")
    assert not is_archive(tmp_path / "r.tar")


def test_archive_holds_no_tag(tmp_path: Path) -> None:
    write_archive(plain_rootfs(tmp_path / "r.tar"), tmp_path / "image", architecture="amd64")

    with tarfile.open(tmp_path / "image") as tar:
        manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())

    assert manifest[0]["RepoTags"] is None


def test_oci_layout_gives_the_same_index(tmp_path: Path) -> None:
    write_archive(plain_rootfs(tmp_path / "r.tar"), tmp_path / "image", architecture="amd64")
    with tarfile.open(tmp_path / "image") as tar, tarfile.open(tmp_path / "oci", "w") as oci:
        for info in tar:
            if info.name != "manifest.json":
                oci.addfile(info, tar.extractfile(info) if info.isreg() else None)

    assert read_index(tmp_path / "oci") == read_index(tmp_path / "image")


def damaged(tmp_path: Path, name: str, content: bytes) -> Path:
    """Write an archive in which one member was replaced."""
    write_archive(plain_rootfs(tmp_path / "r.tar"), tmp_path / "image", architecture="amd64")
    with tarfile.open(tmp_path / "image") as tar, tarfile.open(tmp_path / "damaged", "w") as target:
        for info in tar:
            data = (tar.extractfile(info) or io.BytesIO()).read() if info.isreg() else b""
            if info.name.startswith(name):
                data = content or data.replace(b"linux", b"minix")
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return tmp_path / "damaged"


def test_configuration_with_other_bytes_than_its_name_says_is_refused(tmp_path: Path) -> None:
    write_archive(plain_rootfs(tmp_path / "r.tar"), tmp_path / "image", architecture="amd64")
    config = f"blobs/sha256/{read_index(tmp_path / 'image').config_digest.removeprefix('sha256:')}"

    with pytest.raises(ImageError, match=r"the configuration in .* has the digest sha256:.*, not sha256:"):
        read_index(damaged(tmp_path, config, b""))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        pytest.param(b"[]", "holds 0 images; one is wanted", id="none"),
        pytest.param(b'[{"Config": "a"}, {"Config": "b"}]', "holds 2 images; one is wanted", id="two"),
        pytest.param(b'[{"Config": "gone", "Layers": []}]', "is not an image archive", id="no configuration"),
        pytest.param(b"{", "is not an image archive", id="no JSON"),
        pytest.param(b'[{"Layers": []}]', "is not an image archive", id="no entry"),
    ],
)
def test_unusable_manifest_is_refused(tmp_path: Path, manifest: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_index(damaged(tmp_path, "manifest.json", manifest))


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_truncated_archive_is_refused(tmp_path: Path, size: int) -> None:
    write_archive(plain_rootfs(tmp_path / "r.tar"), tmp_path / "image", architecture="amd64")
    cut = tmp_path / "cut"
    cut.write_bytes((tmp_path / "image").read_bytes()[:size])

    with pytest.raises(ImageError):
        read_index(cut)


def test_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"there is no image archive .*/nowhere"):
        read_index(tmp_path / "nowhere")


def test_rootfs_that_is_no_tar_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.tar").write_bytes(b"no tar at all")

    with pytest.raises(ImageError, match="is not a whole tar file"):
        write_archive(tmp_path / "r.tar", tmp_path / "image", architecture="amd64")
