"""The files of a crate: those that lie in it by their path, all others by their digest."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from pipeline.exchange.crate_tools import parameter_id, tool_id
from pipeline.exchange.graph import Graph

Entity = dict[str, Any]

_FORMATS = {
    ".fits": "application/fits",
    ".fz": "application/fits",
    ".json": "application/json",
    ".log": "text/plain",
    ".txt": "text/plain",
    ".toml": "application/toml",
    ".tar": "application/x-tar",
}


def file_id(digest: str, files: Mapping[str, str]) -> str:
    """Name a file: by its path if it lies in the crate, else by its digest.

    Examples
    --------
    >>> file_id("sha256:" + "00" * 32, {})
    'ni:///sha-256;AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    if digest in files:
        return quote(files[digest])
    name = base64.urlsafe_b64encode(bytes.fromhex(digest.partition(":")[2])).decode("ascii")
    return f"ni:///sha-256;{name.rstrip('=')}"


def file_entities(graph: Graph, files: Mapping[str, str]) -> Iterator[Entity]:
    """Describe the files of a lineage, the logs and other remains of its runs, what else is in the crate."""
    roles = _roles(graph)
    for digest, node in graph.files.items():
        entity = _file(digest, node.name, node.size, files)
        if node.data_digest:
            entity["identifier"] = node.data_digest
        if node.tag:
            entity["keywords"] = node.tag
        if digest in roles:
            entity["exampleOfWork"] = [{"@id": name} for name in sorted(roles[digest])]
        yield entity
    done = set(graph.files)
    for report in graph.runs.values():
        run = report.run
        extras = [(extra.digest, extra.name, extra.size) for extra in run.extras]
        logs = [(run.log, f"log of {report.step}.txt", None)] if run.log else []
        for digest, name, size in (*extras, *logs):
            if digest not in done:
                done.add(digest)
                yield _file(digest, name, size, files)
    for digest in sorted(files.keys() - done):
        yield _file(digest, PurePosixPath(files[digest]).name, None, files)


def _file(digest: str, name: str, size: int | None, files: Mapping[str, str]) -> Entity:
    entity: Entity = {
        "@id": file_id(digest, files),
        "@type": "File",
        "name": name,
        "sha256": digest.partition(":")[2],
        "encodingFormat": _FORMATS.get(PurePosixPath(name).suffix, "application/octet-stream"),
    }
    return entity if size is None else entity | {"contentSize": str(size)}


def _roles(graph: Graph) -> dict[str, set[str]]:
    """List the formal parameters each file stands for: what it was made as, and what it was read as."""
    found: dict[str, set[str]] = {}
    for report in graph.runs.values():
        tool = tool_id(report)
        for item in report.run.inputs:
            found.setdefault(item.digest, set()).add(parameter_id(tool, "input", item.tag))
        for made in report.run.outputs:
            found.setdefault(made.digest, set()).add(parameter_id(tool, "output", made.tag))
    return found
