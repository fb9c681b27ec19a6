"""Image archives: a deterministic writer, and a reader that believes nothing it cannot check.

An archive is a tar file that is both an OCI layout and what `docker load` reads: the configuration and the
layers are blobs named by their digests. It is written without tags (loading it moves none) and depends on the
root file system alone, so the digest of the configuration is the same wherever and whenever it is made.
"""

import gzip
import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from pipeline.errors import ImageError

EPOCH = 1735689600
"""Time of every member and of the image, s since 1970: 2025-01-01. Nothing reads it; it never changes."""
_CREATED = "2025-01-01T00:00:00Z"
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
_MEDIA = "application/vnd.oci.image"
_NOT_OURS = (".dockerenv", "dev", "etc/mtab")
"""Put into every root file system by container engines, hence no part of the image."""
_MOUNTED_OVER = ("etc/hostname", "etc/hosts", "etc/resolv.conf")
"""Engines mount their own over these; whatever is beneath is written as an empty file."""


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """What an image archive says it holds."""

    config_digest: str
    """`sha256:<64 hex>` of the configuration's bytes."""
    platform: str
    """Such as `linux/amd64`."""
    diff_ids: tuple[str, ...]
    """Digests of the uncompressed layers, lowest first, as the configuration names them."""
    layers: tuple[str, ...]
    """Names of the layers' members in the archive, in the same order."""


def write_archive(rootfs: Path, destination: Path, *, architecture: str) -> str:
    """Wrap a root file system into an image archive.

    The layer is written anew from the tar file's members, with everything that says when, by whom or in which
    order it was packed taken out: owners, times, set-id bits, device nodes, hard links. So the tar of a build
    and what `docker export` makes of a container of the same image, give the same archive.

    Parameters
    ----------
    rootfs : Path
        The root file system as a tar file.
    destination : Path
        The archive to write.
    architecture : str
        As Debian and OCI both call it: `amd64`, `arm64`.

    Returns
    -------
    str
        Digest of the image's configuration.
    """
    layer = destination.with_name(destination.name + ".layer")
    try:
        with (
            tarfile.open(rootfs, "r:*") as source,
            tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as target,
        ):
            _write_layer(source, target)
        return _write_image(layer, destination, architecture)
    except (tarfile.TarError, EOFError) as error:
        raise ImageError(f"{rootfs} is not a whole tar file: {error}") from error
    finally:
        layer.unlink(missing_ok=True)


def is_archive(path: Path) -> bool:
    """Say whether a tar file is an image archive; else it is taken for a root file system."""
    with _opened(path) as tar:
        first = {member.name.removeprefix("./").partition("/")[0] for member in tar}
    return bool({"manifest.json", "index.json"} & first)


def read_index(archive: Path) -> ArchiveIndex:
    """Read what an archive holds and check the digest of its configuration; the layers are not read.

    Raises
    ------
    ImageError
        Not a tar file, no image or more than one in it, or a configuration that is not what its name says.
    """
    with _opened(archive) as tar:
        try:
            if "manifest.json" in tar.getnames():
                return _index_of_docker(tar, archive)
            return _index_of_oci(tar, archive)
        except (KeyError, IndexError, TypeError, ValueError, tarfile.TarError) as error:
            raise ImageError(
                f"{archive} is not an image archive: {error}",
                hint="make one with `docker save`, `podman save` or `clio image build`",
            ) from error


@contextmanager
def open_layer(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Open a layer of an archive as its uncompressed tar stream."""
    with _opened(archive) as tar:
        stream = _member(tar, member)
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        # GzipFile is a buffered reader in all but its declared type.
        yield cast("IO[bytes]", gzip.GzipFile(fileobj=stream)) if packed else stream


def _write_layer(source: tarfile.TarFile, target: tarfile.TarFile) -> None:
    members: dict[str, tarfile.TarInfo] = {}
    for member in source:
        name = posixpath.normpath(member.name).lstrip("/")
        if not any(name == other or name.startswith(f"{other}/") for other in _NOT_OURS):
            members[name] = member
    for name in sorted(members.keys() - {"."}):
        member = members[name]
        plain = tarfile.TarInfo(name)
        plain.mtime = EPOCH
        plain.mode = member.mode & 0o1777
        if name in _MOUNTED_OVER:
            plain.mode = 0o644
            target.addfile(plain)
        elif member.isdir() or member.issym():
            plain.type, plain.linkname = member.type, member.linkname
            target.addfile(plain)
        elif member.isreg() or member.islnk():
            content = source.extractfile(member)
            # `extractfile` follows a hard link to the member that has the bytes.
            data = content.read() if content else b""
            plain.size = len(data)
            target.addfile(plain, io.BytesIO(data))


def _write_image(layer: Path, destination: Path, architecture: str) -> str:
    diff_id = _digest_of_file(layer)
    config = _json_bytes(
        {
            "architecture": architecture,
            "config": {"Env": [_PATH], "Labels": {"clio.layer": diff_id}, "WorkingDir": "/out"},
            "created": _CREATED,
            "history": [{"created": _CREATED, "created_by": "clio image build"}],
            "os": "linux",
            "rootfs": {"diff_ids": [diff_id], "type": "layers"},
        }
    )
    config_digest = _digest(config)
    layer_blob = _blob(f"{_MEDIA}.layer.v1.tar", diff_id, layer.stat().st_size)
    manifest = _json_bytes(
        {
            "config": _blob(f"{_MEDIA}.config.v1+json", config_digest, len(config)),
            "layers": [layer_blob],
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "schemaVersion": 2,
        }
    )
    index = {
        "manifests": [_blob(f"{_MEDIA}.manifest.v1+json", _digest(manifest), len(manifest))],
        "mediaType": f"{_MEDIA}.index.v1+json",
        "schemaVersion": 2,
    }
    for_docker = [{"Config": _path(config_digest), "Layers": [_path(diff_id)], "RepoTags": None}]
    contents: dict[str, bytes | Path] = {
        _path(config_digest): config,
        _path(_digest(manifest)): manifest,
        _path(diff_id): layer,
        "index.json": _json_bytes(index),
        "manifest.json": _json_bytes(for_docker),
        "oci-layout": _json_bytes({"imageLayoutVersion": "1.0.0"}),
    }
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as tar:
        for directory in ("blobs", "blobs/sha256"):
            tar.addfile(_plain_member(directory, 0, tarfile.DIRTYPE))
        for name in sorted(contents):
            _add(tar, name, contents[name])
    return config_digest


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        tar.addfile(_plain_member(name, len(content)), io.BytesIO(content))
        return
    with content.open("rb") as stream:
        tar.addfile(_plain_member(name, content.stat().st_size), stream)


def _plain_member(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mtime = kind, size, EPOCH
    member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return member


def _blob(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"digest": digest, "mediaType": media_type, "size": size}


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise ImageError(
            f"{archive} is not a whole tar file: {error}", hint="fetch or build the archive again"
        ) from error
    except FileNotFoundError as error:
        raise ImageError(f"there is no image archive {archive}") from error


def _index_of_docker(tar: tarfile.TarFile, archive: Path) -> ArchiveIndex:
    images = json.loads(_member(tar, "manifest.json").read())
    if len(images) != 1:
        raise ImageError(f"{archive} holds {len(images)} images; one is wanted", hint="save one image alone")
    return _index(tar, images[0]["Config"], tuple(images[0]["Layers"]), archive)


def _index_of_oci(tar: tarfile.TarFile, archive: Path) -> ArchiveIndex:
    manifests = json.loads(_member(tar, "index.json").read())["manifests"]
    if len(manifests) != 1:
        raise ImageError(
            f"{archive} holds {len(manifests)} images; one is wanted", hint="save one image alone"
        )
    manifest = json.loads(_checked(tar, manifests[0]["digest"], archive))
    _checked(tar, manifest["config"]["digest"], archive)
    layers = tuple(_path(layer["digest"]) for layer in manifest["layers"])
    return _index(tar, _path(manifest["config"]["digest"]), layers, archive)


def _index(tar: tarfile.TarFile, config_name: str, layers: tuple[str, ...], archive: Path) -> ArchiveIndex:
    data = _member(tar, config_name).read()
    digest = _digest(data)
    # The member is named after its digest; one that says something else is damaged or forged.
    stated = posixpath.basename(config_name).removesuffix(".json")
    if len(stated) == 64 and digest != f"sha256:{stated}":
        raise ImageError(f"the configuration in {archive} has the digest {digest}, not sha256:{stated}")
    config = json.loads(data)
    diff_ids = tuple(map(str, config["rootfs"]["diff_ids"]))
    if len(diff_ids) != len(layers):
        raise ImageError(f"{archive} holds {len(layers)} layers, and its configuration names {len(diff_ids)}")
    return ArchiveIndex(digest, f"{config['os']}/{config['architecture']}", diff_ids, layers)


def _checked(tar: tarfile.TarFile, digest: str, archive: Path) -> bytes:
    data = _member(tar, _path(digest)).read()
    if _digest(data) != digest:
        raise ImageError(f"the member {_path(digest)} of {archive} has the digest {_digest(data)}")
    return data


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        raise KeyError(f"member {name} is not a file")
    return stream


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
