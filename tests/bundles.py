"""Bundles made by hand, honest ones and others: the reader is not to depend on the writer being right."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provenance.digest import canonical_json
from provenance.model import InputFile, OutputFile, Run
from provenance.store import Store

Members = dict[str, bytes]


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


def papers_of(
    store: Store, *roots: Run, frames: dict[str, bytes] | None = None, image: bytes = b""
) -> Papers:
    """Bundle all of a store, made for some runs.

    Parameters
    ----------
    store : Store
        All that it holds comes along, but calls of commands.
    *roots : Run
        What the bundle is made for.
    frames : dict of str to bytes
        By digest: files from outside that come along.
    image : bytes
        Archive of the image that all runs used, if it comes along.
    """
    held = dict(frames or {})
    members: Members = {object_name(data): data for data in (*held.values(), *filter(None, [image]))}
    for part in ("actions", "records", "statements", "objects"):
        for file in sorted((store.path / part).rglob("*")):
            if file.is_file() and b'"kind":"invocation"' not in file.read_bytes():
                members[f"data/{file.relative_to(store.path).as_posix()}"] = file.read_bytes()
    runs = [store.records.record(*name)[0] for name in store.records.iterate_records()]
    made = {output.digest for run in runs for output in run.outputs}
    outside = {i.digest: i for run in runs for i in run.inputs if i.digest not in made}
    images = sorted({(a.image, a.platform) for run in runs for a in (store.action(run.action),)})
    archive = f"sha256:{hex_of(image)}" if image else None
    description = {
        "type": "clio-bundle",
        "version": 1,
        "digest_algorithm": "sha256",
        "roots": [run.run for run in roots],
        "products": [_product(store, run, item) for run in runs for item in run.outputs],
        "images": [
            {"config": config, "platform": platform, "archive": archive, "stored": bool(image)}
            for config, platform in images
        ],
        "frames": [_frame(item, item.digest in held) for item in outside.values()],
        "created_by": "clio 0.9",
    }
    return Papers(members, description)


def _product(store: Store, run: Run, item: OutputFile) -> dict[str, Any]:
    return {
        "run": run.run,
        "tag": item.tag,
        "name": item.name,
        "digest": item.digest,
        "size": item.size,
        "stored": store.objects.has(item.digest),
    }


def _frame(item: InputFile, is_stored: bool) -> dict[str, Any]:
    return {
        "digest": item.digest,
        "data_digest": item.data_digest,
        "tag": item.tag,
        "name": item.name,
        "size": item.size,
        "arcfile": item.name if item.name.startswith("MUSE.") else None,
        "kind": "raw" if item.name.startswith("MUSE.") else "static",
        "stored": is_stored,
        "where": "https://archive.eso.org",
    }
