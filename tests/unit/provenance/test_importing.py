"""Bundles that are taken in, and what is not (promise 9)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bundles import Papers, hex_of, papers_of
from stored import BIAS, FLAT, RAW, RAW_FRAME, tree, two_runs

from provenance.check import check, remarks
from provenance.digest import digest_bytes
from provenance.errors import BundleRefused, StoreDamaged
from provenance.identity import Owner, this_process
from provenance.importing import import_bundle, look_into
from provenance.imports import IMPORTED, TRUSTED, How
from provenance.lineage import ancestors
from provenance.model import Run
from provenance.store import Store


@dataclass
class Elsewhere:
    """A store far away, of which there is a bundle."""

    store: Store
    bias: Run
    flat: Run
    papers: Papers


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    store, bias, flat = two_runs(tmp_path / "elsewhere")
    with store:
        yield Elsewhere(store, bias, flat, papers_of(store, flat))


def test_a_bundle_is_shown_whole_and_believed_nowhere(
    store: Store, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Promise 9."""
    found = import_bundle(store, elsewhere.papers.zip(tmp_path / "b.zip"))

    assert [run.run for run in found.runs] == [elsewhere.bias.run, elsewhere.flat.run]
    assert store.run(elsewhere.flat.run) == elsewhere.flat
    assert store.lookup(elsewhere.flat.action).reason == "imported, and neither verified nor trusted"
    assert store.objects.verify(digest_bytes(FLAT)) == len(FLAT)
    lineage = ancestors(store, elsewhere.flat.outputs[0].digest)
    assert [node.tag for node in lineage.artifacts] == ["MASTER_FLAT", "MASTER_BIAS", "BIAS"]
    assert check(store, deep=True) == ()


def test_records_and_statements_keep_their_bytes(store: Store, elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.store.trust([elsewhere.bias], How.HAND, "elsewhere")
    papers = papers_of(elsewhere.store, elsewhere.flat)

    import_bundle(store, papers.zip(tmp_path / "b.zip"))

    here, there = tree(store.path), tree(elsewhere.store.path)
    for name in there:
        if name.split("/")[0] in ("records", "actions", "statements", "objects"):
            assert here[name] == there[name]
    assert store.statements(TRUSTED) == ()
    assert len(store.brought(TRUSTED)) == 1
    assert not store.lookup(elsewhere.bias.action).is_hit


def test_trusted_by_hand_it_is_a_hit(store: Store, elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Promise 9."""
    import_bundle(store, elsewhere.papers.zip(tmp_path / "b.zip"))

    store.trust([elsewhere.flat], How.HAND, "it is from the archive")

    assert store.lookup(elsewhere.flat.action).run == elsewhere.flat
    assert not store.lookup(elsewhere.bias.action).is_hit


def test_imported_twice_it_is_imported_once(store: Store, elsewhere: Elsewhere, tmp_path: Path) -> None:
    bundle = elsewhere.papers.zip(tmp_path / "b.zip")
    import_bundle(store, bundle)
    before = tree(store.path)

    again = import_bundle(store, bundle)

    assert (again.runs, again.statements, again.objects, again.statement) == ((), (), (), "")
    assert tree(store.path) == before


def test_what_was_made_here_stays_ours(elsewhere: Elsewhere, tmp_path: Path) -> None:
    import_bundle(elsewhere.store, elsewhere.papers.zip(tmp_path / "b.zip"))

    assert elsewhere.store.lookup(elsewhere.flat.action).run == elsewhere.flat
    assert elsewhere.store.statements(IMPORTED) == ()


def test_a_bundle_brings_back_what_was_lost_here(elsewhere: Elsewhere, tmp_path: Path) -> None:
    bundle = elsewhere.papers.zip(tmp_path / "b.zip")
    elsewhere.store.objects.path(digest_bytes(FLAT)).unlink()

    found = import_bundle(elsewhere.store, bundle)

    assert found.objects == (digest_bytes(FLAT),)
    assert elsewhere.store.lookup(elsewhere.flat.action).is_hit


def test_raw_frames_and_settings_come_as_objects(store: Store, elsewhere: Elsewhere, tmp_path: Path) -> None:
    papers = papers_of(elsewhere.store, elsewhere.flat, frames={RAW: RAW_FRAME})
    papers.members["data/clio.toml"] = b"[data]\n"

    found = import_bundle(store, papers.zip(tmp_path / "b.zip"))

    assert store.objects.verify(RAW) == len(RAW_FRAME)
    (said,) = store.statements(IMPORTED)
    assert [file["name"] for file in said.body["files"]] == ["clio-bundle.json", "clio.toml"]
    assert said.body["files"][1] == {"name": "clio.toml", "digest": digest_bytes(b"[data]\n"), "size": 7}
    assert said.body["bundle"] == found.bundle.id


def test_its_id_is_the_digest_of_its_manifest(elsewhere: Elsewhere, tmp_path: Path) -> None:
    bundle = look_into(elsewhere.papers.zip(tmp_path / "b.zip"))

    assert bundle.id == f"sha256:{hex_of(elsewhere.papers.all()['manifest-sha256.txt'])}"


def test_imported_runs_survive_the_index(store: Store, elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Promise 8."""
    import_bundle(store, elsewhere.papers.zip(tmp_path / "b.zip"))
    store.index.rebuild()

    assert store.run(elsewhere.flat.run) == elsewhere.flat
    assert not store.lookup(elsewhere.flat.action).is_hit


def test_what_a_killed_import_left_is_swept_by_the_next(
    store: Store, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Promise 1."""
    dead = Owner(this_process().host, "0" * 32, 1, 1)
    left = store.path / "tmp" / f"{dead}~{'0' * 32}"
    left.write_bytes(FLAT)

    import_bundle(store, elsewhere.papers.zip(tmp_path / "b.zip"))

    assert not left.exists()


def test_a_record_that_says_otherwise_than_ours_is_refused(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.papers.change_record(elsewhere.flat.run, lambda record: record.update(unit="day"))
    bundle = elsewhere.papers.zip(tmp_path / "b.zip")
    before = tree(elsewhere.store.path)

    with pytest.raises(StoreDamaged, match="has a record already, and it says something else"):
        import_bundle(elsewhere.store, bundle)

    assert tree(elsewhere.store.path) == before


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(
    store: Store, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provenance.importing.SPARE_BYTES", 1 << 60)
    before = tree(store.path)

    with pytest.raises(BundleRefused, match="are free where the store lies"):
        import_bundle(store, elsewhere.papers.zip(tmp_path / "b.zip"))

    assert tree(store.path) == before


def test_a_bundle_without_products_is_whole(store: Store, elsewhere: Elsewhere, tmp_path: Path) -> None:
    papers = elsewhere.papers
    for product in papers.description["products"]:
        product["stored"] = product["tag"] != "MASTER_BIAS"
    del papers.members[f"data/objects/{hex_of(BIAS)[:2]}/{hex_of(BIAS)}"]

    import_bundle(store, papers.zip(tmp_path / "b.zip"))

    assert not store.objects.has(digest_bytes(BIAS))
    assert check(store) == ()
    (remark,) = remarks(store)
    assert remark.message.endswith("names an object that it did not bring")
