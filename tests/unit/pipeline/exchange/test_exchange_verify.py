"""A product beside its sidecar, and nothing else: neither store nor network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import image, primary, sealed
from history import History, keep, product, raw

from pipeline.comparison import Sameness
from pipeline.errors import FitsError
from pipeline.exchange.graph import read_graph
from pipeline.exchange.sidecar import LARGEST_BYTES, sidecar
from pipeline.exchange.verified import Sidecar, SidecarRefused, read_sidecar, sidecar_of, verify
from pipeline.fitsdigest import digest_file
from provenance.digest import canonical_digest, canonical_json
from provenance.model import OutputFile, Part
from provenance.store import Store

DATE = "2026-01-15T12:00:00"


def _fits(pixels: tuple[int, ...] = (1, 2, 3), stat: tuple[int, ...] = (4, 5, 6), **cards: Any) -> bytes:
    head = primary({"DATE": DATE, "OBJECT": "NGC 1", **cards})
    return sealed(head) + sealed(image("DATA", pixels, {"BUNIT": "adu"})) + sealed(image("STAT", stat))


def _product(store: Store, folder: Path, content: bytes) -> tuple[Path, OutputFile]:
    path = folder / "CUBE.fits"
    path.write_bytes(content)
    kept = store.objects.put_bytes(content)
    found = digest_file(path)
    parts = tuple(Part(p.name or str(n), p.cards, p.data) for n, p in enumerate(found.parts))
    return path, OutputFile("CUBE", path.name, kept.digest, found.data_digest, parts, kept.size)


@pytest.fixture
def made(store: Store, tmp_path: Path) -> tuple[Path, Sidecar]:
    """Put a product beside its sidecar."""
    path, output = _product(store, tmp_path, _fits())
    keep(store, "muse_bias", 1, "a", inputs=(raw("BIAS", 1),), outputs=(output,), changed={"order": "7"})
    sidecar_of(path).write_bytes(sidecar(read_graph(store, [output.digest]), output.digest))
    return path, read_sidecar(sidecar_of(path))


def test_a_product_as_it_was_made_is_identical(made: tuple[Path, Sidecar]) -> None:
    found = verify(*made)

    assert (found.sameness, found.moved, found.is_same) == (Sameness.IDENTICAL, (), True)


CHANGES = {  # each with its checksums made anew: DATASUM is a card
    "a pixel": (_fits((1, 2, 4)), "HDU 1 DATA: its cards and its data"),
    "a variance": (_fits(stat=(4, 5, 7)), "HDU 2 STAT: its cards and its data"),
    "a card": (_fits(OBJECT="NGC 2"), "HDU 0: its cards"),
    "a name": (_fits().replace(b"'STAT    '", b"'VARIANCE'"), "HDU 2 STAT: it is called VARIANCE now"),
    "an HDU more": (_fits() + image("DQ", (0,)), "HDU 3 DQ: added"),
    "an HDU less": (_fits()[: -2 * 2880], "HDU 2 STAT: missing"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_moved_is_named(change: str, made: tuple[Path, Sidecar]) -> None:
    path, recorded = made
    content, words = CHANGES[change]
    path.write_bytes(content)
    found = verify(path, recorded)

    assert found.sameness is Sameness.DIFFERENT
    assert words in found.moved


def test_a_card_that_tells_the_time_is_the_same_science_and_not_the_same_file(
    made: tuple[Path, Sidecar],
) -> None:
    path, recorded = made
    path.write_bytes(_fits(DATE="2026-01-15T12:00:01"))
    found = verify(path, recorded)

    assert (found.sameness, found.is_same) == (Sameness.SAME_SCIENCE, False)
    assert found.moved[0].startswith("volatile cards")


def test_every_byte_of_a_product_counts(made: tuple[Path, Sidecar]) -> None:
    """A bit anywhere: structure, card, comment, padding, pixel, behind the end."""
    path, recorded = made
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        found = verify(path, recorded)
        assert not found.is_same and found.moved, place
    path.write_bytes(content + b"\0")
    assert not verify(path, recorded).is_same


def test_its_own_checksum_tells_which_hdu_was_edited(made: tuple[Path, Sidecar]) -> None:
    path, recorded = made
    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)

    assert "DATASUM of HDU 2 STAT does not agree with its data" in verify(path, recorded).moved


@pytest.mark.parametrize("content", [b"", b"SIMPLE", _fits()[:-1]], ids=["empty", "stub", "cut"])
def test_what_is_no_whole_fits_file_any_more_is_different_and_says_why(
    content: bytes, made: tuple[Path, Sidecar]
) -> None:
    path, recorded = made
    path.write_bytes(content)
    found = verify(path, recorded)

    assert found.sameness is Sameness.DIFFERENT
    assert found.data_digest is None
    assert str(path) in found.moved[0]


def test_a_product_that_is_no_fits_file_goes_by_its_bytes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "OFFSETS.txt"
    path.write_bytes(b"1 2\n")
    kept = store.objects.put_bytes(b"1 2\n")
    output = OutputFile("OFFSETS", path.name, kept.digest, None, (), kept.size)
    keep(store, "muse_bias", 1, "a", inputs=(), outputs=(output,))
    sidecar_of(path).write_bytes(sidecar(read_graph(store, [kept.digest]), kept.digest))
    recorded = read_sidecar(sidecar_of(path))

    assert verify(path, recorded).is_same
    path.write_bytes(b"1 3\n")
    assert not verify(path, recorded).is_same


def test_a_product_that_is_gone_is_an_error(made: tuple[Path, Sidecar]) -> None:
    path, recorded = made
    path.unlink()

    with pytest.raises(FitsError, match="CUBE"):
        verify(path, recorded)


# The sidecar


def test_a_sidecar_says_how_the_product_was_made(store: Store, history: History) -> None:
    digest = history.flat.outputs[0].digest
    told = json.loads(sidecar(read_graph(store, [digest]), digest))

    assert told["product"]["tag"] == "MASTER_FLAT"
    assert told["run"]["recipe"] == "muse_flat"
    assert told["run"]["parameters"] == {"muse.muse_flat.order": "7"}
    assert told["run"]["defaults"] == 1
    assert [item["tag"] for item in told["inputs"]] == [item.tag for item in history.flat.inputs]
    assert {item["tag"] for item in told["raw"]} == {"BIAS", "FLAT"}
    assert [item["tag"] for item in told["static"]] == ["BADPIX_TABLE"]
    assert told["lineage"]["runs"] == 2
    assert "/data/" not in json.dumps(told)


def test_a_sidecar_is_the_same_every_time_and_canonical(store: Store, history: History) -> None:
    """Promise 2."""
    digest = history.exposure.outputs[0].digest
    written = sidecar(read_graph(store, [digest]), digest)

    assert written == sidecar(read_graph(store, [digest]), digest)
    assert written == canonical_json(json.loads(written))


def test_a_sidecar_stays_small_whatever_the_product(store: Store, tmp_path: Path) -> None:
    many = tuple(
        replace(raw("BIAS", 1), name=f"MUSE.{n:040d}.fits", digest=f"sha256:{n:064x}") for n in range(900)
    )
    parts = tuple(Part(f"WHITE_{n}", "sha256:" + "0" * 64, "sha256:" + "1" * 64) for n in range(300))
    output = replace(product(store, "CUBE", "CUBE.fits"), parts=parts)
    changed = {f"order{n}": "x" * 90 for n in range(100)}
    caveats = tuple(f"caveat {n}" * 9 for n in range(200))
    keep(store, "muse_bias", 1, "a", inputs=many, outputs=(output,), changed=changed, caveats=caveats)
    written = sidecar(read_graph(store, [output.digest]), output.digest)
    told = json.loads(written)
    path = tmp_path / "CUBE.fits.prov.json"
    path.write_bytes(written)

    assert len(written) < LARGEST_BYTES
    files = [{"tag": i.tag, "name": i.name, "digest": i.digest} for i in many]
    assert told["inputs"] == {"count": 900, "tags": {"BIAS": 900}, "digest": canonical_digest(files)}
    assert told["product"]["parts"]["count"] == 300
    assert read_sidecar(path).digest == output.digest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no sidecar"),
        (b"{}", "schema"),
        (b"[1]", "no sidecar"),
        (b'{"schema": "clio-sidecar/2"}', "clio-sidecar/2"),
        (b'{"schema": "clio-sidecar/1", "product": {}, "run": {}}', "no sidecar"),
        (b"[" * 100_000, "no sidecar"),
        (b" " * 1_000_001, "more than"),
        (b"\xff\xfe", "no sidecar"),
    ],
)
def test_what_is_no_sidecar_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "X.fits.prov.json"
    path.write_bytes(content)

    with pytest.raises(SidecarRefused, match=words):
        read_sidecar(path)


def test_a_sidecar_that_is_missing_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(SidecarRefused, match="cannot read") as raised:
        read_sidecar(tmp_path / "X.fits.prov.json")

    assert "clio trace FILE --sidecar" in raised.value.hint


def test_no_control_character_of_a_sidecar_reaches_the_terminal(made: tuple[Path, Sidecar]) -> None:
    path = made[1].path
    document = json.loads(path.read_bytes())
    document["product"]["tag"] = "\x1b[2J\nCUBE"
    path.write_bytes(json.dumps(document).encode())

    assert read_sidecar(path).tag == "?[2J?CUBE"
