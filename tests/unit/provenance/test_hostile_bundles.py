"""Bundles of people who mean harm, or of a bad disk: nothing is stored, what is wrong is said (promise 9)."""

import json
import random
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from bundles import Papers, hex_of, info_of, object_name, papers_of, zip_of
from stored import BIAS, FLAT, tree, two_runs

from provenance.digest import canonical_json, digest_bytes
from provenance.errors import BundleRefused
from provenance.importing import import_bundle
from provenance.intake import examine
from provenance.model import Run
from provenance.store import Store
from provenance.strictjson import depth_of
from provenance.zipped import Zipped

BOMB = b"\0" * 10_000_000


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    store, _, flat = two_runs(tmp_path / "elsewhere")
    with store:
        return papers_of(store, flat)


@pytest.fixture
def runs(papers: Papers) -> tuple[str, str]:
    """Ids of the bias and of the flat."""
    found = sorted(name.rpartition("/")[2][:-5] for name in papers.members if "/records/" in name)
    return found[0], found[1]


def refused(store: Store, bundle: bytes, tmp_path: Path) -> str:
    """Give a bundle to a store, prove that nothing of it is left, and return what is said of it."""
    path = tmp_path / "hostile.zip"
    path.write_bytes(bundle)
    before, folders, rows = tree(store.path), folders_of(store), index_rows(store)

    with pytest.raises(BundleRefused) as caught:
        import_bundle(store, path)

    assert tree(store.path) == before
    assert folders_of(store) == folders
    assert index_rows(store) == rows
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "hostile.zip", "store"]
    return caught.value.message


def folders_of(store: Store) -> list[str]:
    return sorted(str(path) for path in store.path.rglob("*") if path.is_dir())


def index_rows(store: Store) -> dict[str, list[Any]]:
    """Everything the index holds but what it remembers of files."""
    tables = store.index.read("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {name: store.index.read(f'SELECT * FROM "{name}"') for (name,) in tables}


# Names


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "data/../../evil",
        "/etc/passwd",
        "data/objects/../../evil",
        "data\\objects\\evil",
        "C:\\evil",
        "data/objects/ab/" + "A" * 64,
        "data/objects/ab/" + "c" * 64,
        "data/objects/ab/ab" + "0" * 62 + "/more",
        "data/objects/ab/",
        "data/records/ab/x.json",
        "data/claims/x",
        "data/clio-bundle.json/x",
        "store.json",
        "provenance.db",
        "data/statements/..json",
        "data/objects/ab/ab" + "0" * 61 + "\n",
        "data/evil\x1b[2J",
        "",
    ],
)
def test_a_name_that_no_bundle_has_is_refused(
    store: Store, papers: Papers, tmp_path: Path, name: str
) -> None:
    members = papers.all() | {name: b"evil"}

    said = refused(store, zip_of(members), tmp_path)

    assert "is none that a bundle has" in said or "no regular file" in said
    assert said.isprintable()


def test_a_name_of_other_letters_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    assert "plain letters" in refused(store, zip_of(papers.all() | {"data/évil": b""}), tmp_path)


@pytest.mark.parametrize("mode", [0o120777, 0o040755, 0o020666, 0o010644, 0o140755, 0o060644])
def test_what_is_no_regular_file_is_refused(store: Store, papers: Papers, tmp_path: Path, mode: int) -> None:
    """Links, directories, devices, pipes, sockets."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(papers.all().items()):
            archive.writestr(info_of(name, mode if name == object_name(FLAT) else 0o100644), data)

    assert "no regular file" in refused(store, buffer.getvalue(), tmp_path)


def test_a_member_that_is_there_twice_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    buffer = BytesIO(zip_of(papers.all()))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info_of(object_name(FLAT)), b"another flat")

    assert "is there twice" in refused(store, buffer.getvalue(), tmp_path)


# The zip file


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_member_is_refused(store: Store, papers: Papers, tmp_path: Path, method: int) -> None:
    """A bomb."""
    buffer = BytesIO()
    members = papers.all() | {f"data/objects/{hex_of(BOMB)[:2]}/{hex_of(BOMB)}": BOMB}
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(members.items()):
            archive.writestr(info_of(name), data, compress_type=method if data is BOMB else None)

    said = refused(store, buffer.getvalue(), tmp_path)

    assert "is compressed" in said or "in a way that no bundle is" in said


def entries(bundle: bytes) -> dict[str, int]:
    """Where the directory says what of each member."""
    at = struct.unpack_from("<L", bundle, len(bundle) - 6)[0]
    found = {}
    while bundle[at : at + 4] == b"PK\1\2":
        length, extra = struct.unpack_from("<2H", bundle, at + 28)
        found[bundle[at + 46 : at + 46 + length].decode()] = at
        at += 46 + length + extra
    return found


def patched(bundle: bytes, at: int, form: str, *values: int) -> bytes:
    changed = bytearray(bundle)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def overlapping(bundle: bytes) -> bytes:
    """Let two members be the same bytes: how a small file becomes a large one."""
    found = entries(bundle)
    first, second = found[object_name(BIAS)], found[object_name(FLAT)]
    offset = struct.unpack_from("<L", bundle, first + 42)[0]
    return patched(bundle, second + 42, "<L", offset)


def around_the_next(bundle: bytes) -> bytes:
    """Let a member hold the one behind it."""
    found = entries(bundle)
    at, following = found[object_name(BIAS)], found[object_name(FLAT)]
    first = min(at, following)
    offset = struct.unpack_from("<L", bundle, first + 42)[0]
    size = struct.unpack_from("<L", bundle, first + 24)[0] + 10
    bundle = patched(bundle, offset + 18, "<2L", size, size)
    return patched(bundle, first + 20, "<2L", size, size)


def larger_than_the_file(bundle: bytes) -> bytes:
    at = entries(bundle)["tagmanifest-sha256.txt"]
    offset = struct.unpack_from("<L", bundle, at + 42)[0]
    bundle = patched(bundle, offset + 18, "<2L", 1 << 30, 1 << 30)
    return patched(bundle, at + 20, "<2L", 1 << 30, 1 << 30)


def larger_than_it_is(bundle: bytes) -> bytes:
    at = entries(bundle)[object_name(FLAT)]
    return patched(bundle, at + 20, "<2L", 1 << 30, 1 << 30)


def smaller_than_it_is(bundle: bytes) -> bytes:
    at = entries(bundle)[object_name(FLAT)]
    return patched(bundle, at + 20, "<2L", 1, 1)


def lying_local_header(bundle: bytes) -> bytes:
    at = entries(bundle)[object_name(FLAT)]
    offset = struct.unpack_from("<L", bundle, at + 42)[0]
    return patched(bundle, offset + 18, "<2L", 1, 1)


def another_local_name(bundle: bytes) -> bytes:
    at = entries(bundle)[object_name(FLAT)]
    offset = struct.unpack_from("<L", bundle, at + 42)[0]
    return patched(bundle, offset + 30, "<3B", *b"../")


def another_local_method(bundle: bytes) -> bytes:
    at = entries(bundle)[object_name(FLAT)]
    offset = struct.unpack_from("<L", bundle, at + 42)[0]
    return patched(bundle, offset + 8, "<H", 8)


def encrypted(bundle: bytes) -> bytes:
    return patched(bundle, entries(bundle)[object_name(FLAT)] + 8, "<H", 1)


def with_sizes_behind(bundle: bytes) -> bytes:
    return patched(bundle, entries(bundle)[object_name(FLAT)] + 8, "<H", 8)


def with_more_members_than_there_are(bundle: bytes) -> bytes:
    return patched(bundle, len(bundle) - 14, "<2H", 60000, 60000)


def with_fewer_members_than_there_are(bundle: bytes) -> bytes:
    return patched(bundle, len(bundle) - 14, "<2H", 1, 1)


def with_a_wrong_checksum(bundle: bytes) -> bytes:
    return bundle.replace(FLAT, FLAT[::-1])


def of_several_disks(bundle: bytes) -> bytes:
    return patched(bundle, len(bundle) - 18, "<2H", 1, 1)


def with_a_comment(bundle: bytes) -> bytes:
    return patched(bundle, len(bundle) - 2, "<H", 4) + b"evil"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (overlapping, "has something before it"),
        (around_the_next, "overlaps another"),
        (larger_than_the_file, "reaches into the directory"),
        (larger_than_it_is, "is described otherwise where it begins"),
        (smaller_than_it_is, "is described otherwise where it begins"),
        (lying_local_header, "is described otherwise where it begins"),
        (another_local_name, "is described otherwise where it begins"),
        (another_local_method, "is described otherwise where it begins"),
        (encrypted, "is encrypted"),
        (with_sizes_behind, "stored in a way that no bundle is"),
        (with_more_members_than_there_are, "names fewer members than it counts"),
        (with_fewer_members_than_there_are, "holds more than the members it counts"),
        (with_a_wrong_checksum, "is wrong"),
        (of_several_disks, "one of several parts"),
        (with_a_comment, "does not end as a zip file"),
        (lambda bundle: b"#!/bin/sh\nrm -rf ~\n" + bundle, "does not lie at its end"),
        (lambda bundle: bundle + b"more", "does not end as a zip file"),
        (lambda bundle: bundle[:-1], "does not end as a zip file"),
        (lambda bundle: bundle[: len(bundle) // 2], "does not end as a zip file"),
        (lambda bundle: bundle[100:], "does not lie at its end"),
        (lambda bundle: bundle[:10], "too short"),
        (lambda _: b"", "too short"),
        (lambda _: b"SIMPLE  =                    T" + b" " * 2850, "does not end as a zip file"),
    ],
)
def test_a_zip_file_that_lies_is_refused(
    store: Store, papers: Papers, tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    assert said in refused(store, change(zip_of(papers.all())), tmp_path)


def test_a_gap_between_members_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    """Something only another reader would see."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(papers.all().items()):
            archive.writestr(info_of(name), data)
        assert archive.fp is not None
        archive.fp.write(b"hidden")
        archive.start_dir = archive.fp.tell()

    assert "between its last member and its directory" in refused(store, buffer.getvalue(), tmp_path)


# The lists


def test_bytes_that_are_not_those_of_their_name_are_refused(
    store: Store, papers: Papers, tmp_path: Path
) -> None:
    """A zip file that is right about wrong bytes: only the digest tells."""
    papers.members[object_name(FLAT)] = b"a master flaw"

    assert "listed with another digest than its name" in refused(store, zip_of(papers.all()), tmp_path)


def test_bytes_that_are_not_those_of_the_manifest_are_refused(
    store: Store, papers: Papers, tmp_path: Path
) -> None:
    members = papers.all()
    members[object_name(FLAT)] = b"a master flaw"

    assert f"holds {hex_of(b'a master flaw')[:12]}, not" in refused(store, zip_of(members), tmp_path)


@pytest.mark.parametrize("part", ["actions", "records", "objects", "clio-bundle.json"])
def test_a_missing_member_is_refused(store: Store, papers: Papers, tmp_path: Path, part: str) -> None:
    members = papers.all()
    del members[next(name for name in members if name.startswith(f"data/{part}"))]

    assert "is missing, which manifest-sha256.txt lists" in refused(store, zip_of(members), tmp_path)


def test_a_member_that_no_list_has_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    members = papers.all() | {object_name(b"more"): b"more"}

    assert "manifest-sha256.txt does not list it" in refused(store, zip_of(members), tmp_path)


def test_an_object_that_nothing_names_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    papers.members[object_name(b"more")] = b"more"

    assert "nothing names it" in refused(store, zip_of(papers.all()), tmp_path)


@pytest.mark.parametrize("name", ["bagit.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"])
def test_a_bag_without_a_list_is_refused(store: Store, papers: Papers, tmp_path: Path, name: str) -> None:
    members = papers.all()
    del members[name]

    assert name in refused(store, zip_of(members), tmp_path)


def test_a_changed_tag_file_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    members = papers.all() | {"bag-info.txt": b"Payload-Oxum: 2.2\n"}

    assert "bag-info.txt is not what the manifest says" in refused(store, zip_of(members), tmp_path)


@pytest.mark.parametrize(
    "line", [b"x  data/a\n", b"0" * 64 + b"  data/a b\n", b"0" * 64 + b"  data/a", b"\xff\n", b"\n"]
)
def test_a_manifest_that_is_none_is_refused(
    store: Store, papers: Papers, tmp_path: Path, line: bytes
) -> None:
    manifest = papers.all()["manifest-sha256.txt"]
    papers.tags["manifest-sha256.txt"] = manifest + line

    assert "manifest-sha256.txt" in refused(store, zip_of(papers.all()), tmp_path)


# The papers


def in_place_of_record(papers: Papers, runs: tuple[str, str], data: bytes) -> bytes:
    papers.members[papers.record(runs[1])] = data
    return zip_of(papers.all())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested more than"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested more than"),
        (b'{"a": 1}', "not canonical"),
        (b'{"a":1,"a":2}', "not canonical"),
        (b'{"a":NaN}', "no JSON that this program writes"),
        (b'{"a":1e999}', "no JSON that this program writes"),
        (b'{"a":0.5}', "no JSON that this program writes"),
        (b'{"a":123456789012345678901234567890}', "no JSON that this program writes"),
        (b'{"a":"\\ud800"}', "no JSON that this program writes"),
        (b"{", "no JSON that this program writes"),
        (b"", "no JSON that this program writes"),
        (b"\xff\xfe", "no JSON that this program writes"),
        (b"[]", "not a JSON object"),
        (b"{}", "not a clio-record"),
        (b'{"type":"clio-record","version":1}', "record is not as it should be"),
        (b'{"type":"clio-record","version":2}', "record of version 2, and this program knows 1"),
        (b'{"type":"clio-record","version":true}', "record"),
        (b'{"a":"' + b"x" * (9 << 20) + b'"}', "bytes, where 8388608 are allowed"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_json_that_is_none_of_ours_is_refused(
    store: Store, papers: Papers, runs: tuple[str, str], tmp_path: Path, data: bytes, said: str
) -> None:
    assert said in refused(store, in_place_of_record(papers, runs, data), tmp_path)


def image_by_tag(action: dict[str, Any]) -> None:
    action["image"]["config"] = "docker.io/library/evil:latest"


def input_that_climbs(action: dict[str, Any]) -> None:
    action["inputs"][0]["name"] = "../../evil.fits"


def input_that_is_an_option(action: dict[str, Any]) -> None:
    action["inputs"][0]["name"] = "--output-dir=/"


def input_by_name(action: dict[str, Any]) -> None:
    action["inputs"][0]["content"] = "latest"


def recipe_that_climbs(action: dict[str, Any]) -> None:
    action["recipe"]["name"] = "../bin/sh"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (image_by_tag, "names its image by 'docker.io/library/evil:latest', which is no digest"),
        (input_that_climbs, "a name that none of ours has: '../../evil.fits'"),
        (input_that_is_an_option, "a name that none of ours has"),
        (input_by_name, "no digest"),
        (recipe_that_climbs, "a name that none of ours has"),
    ],
)
def test_an_action_by_anything_but_content_is_refused(
    store: Store,
    papers: Papers,
    runs: tuple[str, str],
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    said: str,
) -> None:
    """A record that names its image by a tag, among others; keys and records agree with it."""
    record = json.loads(papers.members.pop(papers.record(runs[1])))
    old = record["action"]
    action = json.loads(papers.members.pop(f"data/actions/{old[:2]}/{old}.json"))
    change(action)
    new = hex_of(canonical_json(action))
    record["action"] = new
    for made, asked in zip(record["inputs"], action["inputs"], strict=True):
        made["name"] = asked["name"]
    papers.members[f"data/actions/{new[:2]}/{new}.json"] = canonical_json(action)
    papers.members[f"data/records/{new[:2]}/{new}/{runs[1]}.json"] = canonical_json(record)

    assert said in refused(store, zip_of(papers.all()), tmp_path)


def test_an_action_of_another_key_is_refused(
    store: Store, papers: Papers, runs: tuple[str, str], tmp_path: Path
) -> None:
    name = next(name for name in papers.members if "/actions/" in name)
    papers.members[name] = papers.members[name].replace(b'"pinned"', b'"native"')

    assert "is not the action of that key" in refused(store, zip_of(papers.all()), tmp_path)


def of_another_run(record: dict[str, Any]) -> None:
    record["run"] = "01a216e2-bd0c-70e0-bce2-356803602400"


def of_another_action(record: dict[str, Any]) -> None:
    record["action"] = "0" * 64


def that_read_something_else(record: dict[str, Any]) -> None:
    record["inputs"][0]["digest"] = "sha256:" + "0" * 64


def that_read_less(record: dict[str, Any]) -> None:
    record["inputs"] = []


def that_claims_a_product_it_does_not_hold(record: dict[str, Any]) -> None:
    record["outputs"][0]["digest"] = "sha256:" + "0" * 64


def that_claims_another_size(record: dict[str, Any]) -> None:
    record["outputs"][0]["size"] = 1


def that_made_nothing(record: dict[str, Any]) -> None:
    record["outputs"] = []


def with_a_product_that_climbs(record: dict[str, Any]) -> None:
    record["outputs"][0]["name"] = "../../../home/me/.bashrc"


def with_a_product_that_writes_on_the_screen(record: dict[str, Any]) -> None:
    record["outputs"][0]["name"] = "\x1b]0;evil\x07.fits"


def with_a_unit_that_writes_on_the_screen(record: dict[str, Any]) -> None:
    record["unit"] = "night\x1b[2J"


def with_a_time_that_is_none(record: dict[str, Any]) -> None:
    record["started"] = "yesterday"


def with_a_log_that_is_none(record: dict[str, Any]) -> None:
    record["log"] = "../../../etc/passwd"


def with_less_than_nothing(record: dict[str, Any]) -> None:
    record["peak_memory_bytes"] = -1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_another_run, "is the record of run 01a216e2-bd0c-70e0-bce2-356803602400 of another action"),
        (of_another_action, "of another action"),
        (that_read_something_else, "with other content than its action names"),
        (that_read_less, "read other files than its action names"),
        (that_claims_a_product_it_does_not_hold, "is described, and made by no record"),
        (that_claims_another_size, "says 1 bytes of"),
        (that_made_nothing, "says success, with 0 MASTER_FLAT of 1"),
        (with_a_product_that_climbs, "a name that none of ours has"),
        (with_a_product_that_writes_on_the_screen, "a name that none of ours has"),
        (with_a_unit_that_writes_on_the_screen, "a text that cannot be shown"),
        (with_a_time_that_is_none, "a time that is none: yesterday"),
        (with_a_log_that_is_none, "no digest"),
        (with_less_than_nothing, "a number below nothing"),
    ],
)
def test_a_record_that_cannot_be_is_refused(
    store: Store,
    papers: Papers,
    runs: tuple[str, str],
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    said: str,
) -> None:
    papers.change_record(runs[1], change)

    found = refused(store, zip_of(papers.all()), tmp_path)

    assert said in found
    assert found.isprintable()


def test_products_made_from_each_other_are_refused(
    store: Store, papers: Papers, runs: tuple[str, str], tmp_path: Path
) -> None:
    """Circular lineage: the bias is said to have read the flat that was made from it."""
    bias = json.loads(papers.members.pop(papers.record(runs[0])))
    old = bias["action"]
    action = json.loads(papers.members.pop(f"data/actions/{old[:2]}/{old}.json"))
    action["inputs"][0]["content"] = bias["inputs"][0]["digest"] = digest_bytes(FLAT)
    bias["inputs"][0] |= {"data_digest": None, "size": len(FLAT)}
    bias["action"] = key = hex_of(canonical_json(action))
    papers.members[f"data/actions/{key[:2]}/{key}.json"] = canonical_json(action)
    papers.members[f"data/records/{key[:2]}/{key}/{runs[0]}.json"] = canonical_json(bias)
    papers.description["frames"] = []

    assert "made from themselves" in refused(store, zip_of(papers.all()), tmp_path)


def test_a_record_without_its_action_is_refused(
    store: Store, papers: Papers, runs: tuple[str, str], tmp_path: Path
) -> None:
    action = json.loads(papers.members[papers.record(runs[1])])["action"]
    del papers.members[f"data/actions/{action[:2]}/{action}.json"]

    assert "the action of" in refused(store, zip_of(papers.all()), tmp_path)


def test_a_statement_of_another_digest_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    papers.members[f"data/statements/00/{'0' * 64}.json"] = b"{}"

    assert "is not the statement of that digest" in refused(store, zip_of(papers.all()), tmp_path)


def test_calls_of_commands_elsewhere_are_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    """They would be taken for ours: what the newest reduction of a workspace is, they say."""
    data = canonical_json({"type": "clio-statement", "version": 1, "kind": "invocation", "body": {}})
    papers.members[f"data/statements/{hex_of(data)[:2]}/{hex_of(data)}.json"] = data

    assert "what commands were called elsewhere" in refused(store, zip_of(papers.all()), tmp_path)


# The description


def of_a_newer_form(description: dict[str, Any]) -> None:
    description.update(version=2, created_by="clio 9.0")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_a_newer_form, "it is a bundle of version 2, and this program knows 1"),
        (lambda d: d.update(type="other"), "describes no bundle of clio"),
        (lambda d: d.update(digest_algorithm="md5"), "not those of SHA-256"),
        (lambda d: d.update(roots=["01a216e2-bd0c-70e0-bce2-356803602400"]), "for which the bundle was made"),
        (lambda d: d.update(roots="all"), "description is not as it should be"),
        (lambda d: d["products"][0].update(stored=False), "says it does not hold"),
        (lambda d: d["products"][0].update(stored="yes"), "description is not as it should be"),
        (lambda d: d["frames"][0].update(stored=True), "is missing, which the bundle says it holds"),
        (lambda d: d["frames"][0].update(digest="sha256:" + "0" * 64), "read by no record"),
        (lambda d: d["images"][0].update(config="evil:latest"), "used by no record"),
        (lambda d: d["images"][0].update(stored=True), "which the bundle says it holds"),
        (lambda d: d["products"].append({}), "description is not as it should be"),
        (dict.clear, "has no data/clio-bundle.json"),
    ],
)
def test_a_description_that_says_otherwise_is_refused(
    store: Store, papers: Papers, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(papers.description)

    assert said in refused(store, zip_of(papers.all()), tmp_path)


def test_a_newer_form_says_what_reads_it(store: Store, papers: Papers, tmp_path: Path) -> None:
    of_a_newer_form(papers.description)

    with pytest.raises(BundleRefused) as caught:
        import_bundle(store, papers.zip(tmp_path / "b.zip"))

    assert caught.value.hint == "use the clio that wrote it, or a newer one: clio 9.0"


def test_an_honest_bundle_is_none_of_these(store: Store, papers: Papers, tmp_path: Path) -> None:
    """All of the above are refused for what was changed, and for nothing else."""
    found = import_bundle(store, papers.zip(tmp_path / "b.zip"))

    assert len(found.runs) == 2
    assert isinstance(store.run(found.runs[0].run), Run)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_byte_is_changed_it_is_refused_or_says_the_same(
    store: Store, papers: Papers, tmp_path: Path, seed: int
) -> None:
    """Fifty bytes each: the store is untouched, unless the byte says nothing of what is in the bundle."""
    whole = zip_of(papers.all())
    path = tmp_path / "b.zip"
    lots = random.Random(seed)
    before, harmless = tree(store.path), []
    for _ in range(50):
        at = lots.randrange(len(whole))
        changed = bytearray(whole)
        changed[at] ^= 1 << lots.randrange(8)
        path.write_bytes(changed)
        try:
            look_into_all(path)
        except BundleRefused:
            with pytest.raises(BundleRefused):
                import_bundle(store, path)
            assert tree(store.path) == before
        else:
            harmless.append(at)

    directory = whole.index(b"PK\1\2")
    assert all(at >= directory or whole[:at].rfind(b"PK\3\4") >= at - 10 for at in harmless)


def look_into_all(path: Path) -> None:
    """Read all of a bundle, objects included."""
    with Zipped(path) as zipped:
        bundle = examine(zipped)
        for digest in bundle.objects:
            member = zipped.members[f"data/objects/{digest[7:9]}/{digest[7:]}"]
            if hex_of(b"".join(zipped.pieces(member))) != digest[7:]:
                raise BundleRefused("an object was changed")


def test_wherever_it_is_cut_it_is_refused(store: Store, papers: Papers, tmp_path: Path) -> None:
    whole = zip_of(papers.all())
    path = tmp_path / "b.zip"
    before = tree(store.path)
    for length in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:length])
        with pytest.raises(BundleRefused):
            import_bundle(store, path)

    assert tree(store.path) == before


@pytest.mark.parametrize(
    ("data", "depth"),
    [
        (b"", 0),
        (b"[]", 1),
        (b'["[[[["]', 1),
        (b'["\\"[[", [{}]]', 3),
        (b'["\\\\", [[]]]', 3),
        (b"]]]][[[", 0),
    ],
)
def test_depth_is_counted_outside_of_texts(data: bytes, depth: int) -> None:
    assert depth_of(data) == max(depth, 0)


def test_a_million_quotes_are_counted_in_no_time() -> None:
    assert depth_of(b'"' * 1_000_000 + b'\\"' * 100_000) == 0
