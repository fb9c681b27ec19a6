"""Bundles of people who mean harm, given to the installed command. Promise 9.

What is refused, and in which words, is proven of the reader itself. Here is what a person meets: an exit
code, a message that writes nothing on the screen but words, a workspace in which not a byte has moved.
"""

import os
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from bundles import Members, Papers, info_of, object_name, papers_of, zip_of
from history import write_history

from provenance.digest import canonical_json
from provenance.store import Store
from tests.end_to_end.commands import call

Harm = Callable[[Papers], bytes]


def named(name: str) -> Harm:
    return lambda papers: zip_of(papers.all() | {name: b"evil"})


def of_mode(mode: int) -> Harm:
    def harm(papers: Papers) -> bytes:
        return zipped(papers, lambda archive, name, data: archive.writestr(info_of(name, mode), data))

    return harm


def zipped(papers: Papers, write: Callable[[zipfile.ZipFile, str, bytes], None]) -> bytes:
    """Write a bundle in which one object is written otherwise."""
    buffer = BytesIO()
    odd = next(name for name in sorted(papers.members) if name.startswith("data/objects/"))
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(papers.all().items()):
            if name == odd:
                write(archive, name, data)
            else:
                archive.writestr(info_of(name), data)
    return buffer.getvalue()


def twice(papers: Papers) -> bytes:
    """The same name for two contents; readers disagree about which counts."""
    buffer = BytesIO(zip_of(papers.all()))
    odd = next(name for name in sorted(papers.members) if name.startswith("data/objects/"))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info_of(odd), b"another content")
    return buffer.getvalue()


def bomb(papers: Papers) -> bytes:
    """A gigabyte of nothing in a megabyte."""
    zeros = b"\0" * (1 << 20)

    def write(archive: zipfile.ZipFile, name: str, _: bytes) -> None:
        info = info_of(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as member:
            for _ in range(1024):
                member.write(zeros)

    return zipped(papers, write)


def other_bytes(papers: Papers) -> bytes:
    odd = next(name for name in sorted(papers.members) if name.startswith("data/objects/"))
    papers.members[odd] = b"other bytes under a right name"
    return zip_of(papers.all())


def other_lists(papers: Papers) -> bytes:
    papers.tags["manifest-sha256.txt"] = b"0" * 64 + b"  " + object_name(b"").encode() + b"\n"
    return zip_of(papers.all())


def in_a_record(data: bytes) -> Harm:
    def harm(papers: Papers) -> bytes:
        papers.members[next(name for name in papers.members if "/records/" in name)] = data
        return zip_of(papers.all())

    return harm


def on_the_screen(papers: Papers) -> bytes:
    run = next(name for name in papers.members if "/records/" in name).rpartition("/")[2][:-5]
    papers.change_record(run, lambda record: record.update(unit="\x1b]0;evil\x07\x1b[2J"))
    return zip_of(papers.all())


def newer(papers: Papers) -> bytes:
    papers.description["version"] = 2
    return zip_of(papers.all())


def counted_wrong(papers: Papers) -> bytes:
    changed = bytearray(zip_of(papers.all()))
    struct.pack_into("<2H", changed, len(changed) - 14, 60000, 60000)
    return bytes(changed)


def statement_of_another_digest(papers: Papers) -> bytes:
    papers.members["data/statements/00/" + "0" * 64 + ".json"] = canonical_json({"kind": "trust"})
    return zip_of(papers.all())


HARMS: dict[str, Harm] = {
    "a name that climbs": named("data/objects/../../../evil"),
    "an absolute name": named("/etc/cron.d/evil"),
    "a name of the store itself": named("data/claims/evil"),
    "the database": named("provenance.db"),
    "a name that writes on the screen": named("data/\x1b[2Jevil"),
    "a link": of_mode(0o120777),
    "a device": of_mode(0o020666),
    "a name that is there twice": twice,
    "a bomb": bomb,
    "other bytes": other_bytes,
    "other lists": other_lists,
    "a statement of another digest": statement_of_another_digest,
    "deep JSON": in_a_record(b"[" * 100_000 + b"]" * 100_000),
    "a record that is none": in_a_record(b'{"type":"clio-record","version":1}'),
    "a unit that writes on the screen": on_the_screen,
    "a newer form": newer,
    "more members than there are": counted_wrong,
    "half of it": lambda papers: zip_of(papers.all())[: len(zip_of(papers.all())) // 2],
    "a program in front": lambda papers: b"#!/bin/sh\nrm -rf ~\n" + zip_of(papers.all()),
    "a bundle in a bundle": lambda papers: zip_of({"bundle.zip": zip_of(papers.all())}),
    "nothing": lambda papers: b"",
    "no zip file": lambda papers: b"SIMPLE  =                    T" + b" " * 2850,
}


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    with Store.create(tmp_path / "elsewhere") as store:
        history = write_history(store)
        return papers_of(store, history.flat, history.bias)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a store that holds a history of its own."""
    folder = tmp_path / "galaxy"
    folder.mkdir()
    (folder / "clio.toml").write_text("")
    with Store.create(folder / ".clio") as store:
        write_history(store)
    assert call("trust", "--list", cwd=folder).exit_status == 0  # notes the day up to which the index goes
    return folder


def everything(folder: Path) -> Members:
    """All that lies below a folder: places, kinds, modes, times of change and bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        # SQLite dates its file anew when a database is opened and closed; what is in it stays.
        is_dated = path.is_file() and path.name != "provenance.db"
        head = f"{status.st_mode:o} {status.st_size} {status.st_mtime_ns if is_dated else 0} ".encode()
        found[str(path.relative_to(folder))] = head + (path.read_bytes() if path.is_file() else b"")
    return found


@pytest.mark.parametrize("kind", HARMS)
def test_a_hostile_bundle_is_refused_and_moves_no_byte(
    papers: Papers, workspace: Path, tmp_path: Path, kind: str
) -> None:
    hostile = tmp_path / "hostile.zip"
    hostile.write_bytes(HARMS[kind](papers))
    empty = tmp_path / "empty"
    empty.mkdir()
    before = everything(workspace)

    imported = call("import", hostile, cwd=workspace)
    replayed = call("replay", hostile, "--yes", cwd=empty)

    assert everything(workspace) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "empty", "galaxy", "hostile.zip"]
    assert everything(empty) == {}
    for done in (imported, replayed):
        assert done.exit_status == 6, done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr and "defect" not in done.stderr
        assert done.stderr.replace("\n", "").isprintable()


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link to nothing"])
def test_what_is_no_file_is_refused_at_once(workspace: Path, tmp_path: Path, kind: str) -> None:
    """A pipe would keep the reader for ever."""
    hostile = tmp_path / "hostile.zip"
    match kind:
        case "a pipe":
            os.mkfifo(hostile)
        case "a folder":
            hostile.mkdir()
        case _:
            hostile.symlink_to(tmp_path / "nowhere")
    before = everything(workspace)

    for words in (("import", hostile), ("replay", hostile, "--yes"), ("verify", hostile)):
        done = call(*words, cwd=workspace)

        assert everything(workspace) == before
        assert done.exit_status in (2, 6), done.stderr
        assert "defect" not in done.stderr
