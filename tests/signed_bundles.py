"""A small bundle of one run, written by hand, for tests of signatures."""

import hashlib
import io
import zipfile
from pathlib import Path

from history import IMAGE, keep, raw

from provenance.digest import canonical_json
from provenance.model import OutputFile
from provenance.store import Store


def bundle_of(
    folder: Path, content: bytes, *, name: str = "paper.zip", without: str = "", with_: str = ""
) -> Path:
    """Write a bundle of a run that made a cube.

    Parameters
    ----------
    folder : Path
        Where it is written.
    content : bytes
        Of the cube.
    name : str
        Of the bundle.
    without, with_ : str
        A member to leave out, and one to add.
    """
    frame = raw("OBJECT", 1)
    elsewhere = folder / f"store of {name}"
    with Store.create(elsewhere) as store:
        kept = store.objects.put_bytes(content)
        output = OutputFile("DATACUBE_FINAL", "CUBE.fits", kept.digest, "fits1:" + "3" * 64, (), kept.size)
        run = keep(store, "muse_scipost", 8, "200012345", inputs=(frame,), outputs=(output,))
    members = {"data/clio.toml": b"[clio]\n"}
    for part in ("actions", "records", "objects"):
        for file in (elsewhere / part).rglob("*"):
            if file.is_file():
                members[f"data/{file.relative_to(elsewhere).as_posix()}"] = file.read_bytes()
    product = {"run": run.run, "tag": output.tag, "name": output.name, "digest": output.digest}
    read = {"digest": frame.digest, "data_digest": frame.data_digest, "tag": frame.tag, "name": frame.name}
    members["data/clio-bundle.json"] = canonical_json(
        {
            **{"type": "clio-bundle", "version": 1, "digest_algorithm": "sha256", "roots": [run.run]},
            "products": [product | {"size": output.size, "stored": True}],
            "images": [{"config": IMAGE, "platform": "linux/amd64", "archive": None, "stored": False}],
            "frames": [
                read
                | {"size": frame.size, "arcfile": frame.name, "kind": "raw", "stored": False, "where": "ESO"}
            ],
            "created_by": "clio 0.1.0",
        }
    )
    members.pop(without, None)
    if with_:
        members[with_] = b"added"
    path = folder / name
    path.write_bytes(_zip(members))
    return path


def flipped(content: bytes, at: int) -> bytes:
    """Change one bit."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _zip(members: dict[str, bytes]) -> bytes:
    tags = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": b"Payload-Oxum: 1.1\n",
        "manifest-sha256.txt": _listed(members),
    }
    tags["tagmanifest-sha256.txt"] = _listed(tags)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted((members | tags).items()):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def _listed(members: dict[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(members.items()))
    return "".join(lines).encode()
