"""Bundles made by hand, honest ones and others: the reader is not to depend on the writer being right."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stored import an_action, commit

from provenance.digest import canonical_json
from provenance.model import ActionInput, ExpectedOutput, InputFile, OutputFile, Run
from provenance.store import Store

Members = dict[str, bytes]
BIAS, FLAT, RAW = b"a master bias", b"a master flat", b"a raw frame"


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def object_name(data: bytes) -> str:
    return f"data/objects/{hex_of(data)[:2]}/{hex_of(data)}"


@dataclass
class Papers:
    """What a bundle is made of; change it, then `zip` it."""

    members: Members
    """The payload."""
    description: dict[str, Any]
    tags: Members = field(default_factory=dict)
    """In place of tag files of the bag."""

    def zip(self, path: Path) -> Path:
        """Write the bundle with lists that agree with what is in it."""
        path.write_bytes(zip_of(self.all()))
        return path

    def all(self) -> Members:
        payload = dict(self.members)
        if self.description:
            payload.setdefault("data/clio-bundle.json", canonical_json(self.description))
        manifest = "".join(f"{hex_of(data)}  {name}\n" for name, data in sorted(payload.items())).encode()
        tags = {
            "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "bag-info.txt": b"Payload-Oxum: 1.1\n",
            "manifest-sha256.txt": manifest,
        } | self.tags
        listed = "".join(f"{hex_of(data)}  {name}\n" for name, data in sorted(tags.items())).encode()
        return payload | tags | {"tagmanifest-sha256.txt": listed}

    def record(self, run: str) -> str:
        return next(name for name in self.members if name.endswith(f"/{run}.json"))

    def change_record(self, run: str, change: Callable[[dict[str, Any]], None]) -> None:
        name = self.record(run)
        document = json.loads(self.members[name])
        change(document)
        self.members[name] = canonical_json(document)


def zip_of(members: Members) -> bytes:
    """Write a zip file as a bundle is: members as they are, in order, of one time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(members.items()):
            archive.writestr(info_of(name), data)
    return buffer.getvalue()


def info_of(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, mode << 16
    return info


def two_runs(path: Path) -> tuple[Store, Run, Run]:
    """Make a store with a bias and a flat made from it."""
    store = Store.create(path)
    raw = ActionInput("BIAS", "MUSE.2017-06-14T10:01:02.345.fits", "fits1:" + "2" * 64)
    bias = commit(
        store,
        an_action(inputs=(raw,)),
        BIAS,
        inputs=(
            InputFile("BIAS", raw.name, f"sha256:{hex_of(RAW)}", raw.content, len(RAW), "/data/raw/raw.fits"),
        ),
        log=store.objects.put_bytes(b"[ INFO ] bias\n").digest,
    )
    made = bias.outputs[0]
    content = ActionInput("MASTER_BIAS", made.name, made.digest)
    flat = commit(
        store,
        an_action(recipe="muse_flat", inputs=(content,), outputs=(ExpectedOutput("MASTER_FLAT", 1),)),
        FLAT,
        tag="MASTER_FLAT",
        stage="flat",
        inputs=(InputFile("MASTER_BIAS", made.name, made.digest, None, made.size),),
    )
    return store, bias, flat


def papers_of(store: Store, root: Run, *runs: Run, with_raw: bool = False) -> Papers:
    """Bundle runs: all they gave to the store, and what they read from outside by reference."""
    members: Members = {}
    products = []
    for name in ("actions", "records", "statements", "objects"):
        for file in sorted((store.path / name).rglob("*")):
            if file.is_file():
                members[f"data/{file.relative_to(store.path).as_posix()}"] = file.read_bytes()
    for run in (root, *runs):
        products += [_product(run, item) for item in run.outputs]
    if with_raw:
        members[object_name(RAW)] = RAW
    description = {
        "type": "clio-bundle",
        "version": 1,
        "digest_algorithm": "sha256",
        "roots": [root.run],
        "products": products,
        "images": [
            {"config": "sha256:" + "1" * 64, "platform": "linux/amd64", "archive": None, "stored": False}
        ],
        "frames": [
            {
                "digest": f"sha256:{hex_of(RAW)}",
                "data_digest": "fits1:" + "2" * 64,
                "tag": "BIAS",
                "name": "MUSE.2017-06-14T10:01:02.345.fits",
                "size": len(RAW),
                "arcfile": "MUSE.2017-06-14T10:01:02.345.fits",
                "kind": "raw",
                "stored": with_raw,
                "where": "https://archive.eso.org",
            }
        ],
        "created_by": "clio 0.9",
    }
    return Papers(members, description)


def _product(run: Run, item: OutputFile) -> dict[str, Any]:
    return {
        "run": run.run,
        "tag": item.tag,
        "name": item.name,
        "digest": item.digest,
        "size": item.size,
        "stored": True,
    }
