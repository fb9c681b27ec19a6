"""A real product of 2017, reduced in 2018 with MUSE 2.5.0: its cards as ESO's recipes wrote them.

The cards that say how it was made, of an image of IC 4406 (60.A-9100(G), science verification of the laser
guide stars).
"""

from pathlib import Path

import pytest

from pipeline.audit.cards import read_cards
from pipeline.audit.claims import FileClaims, read_claims
from pipeline.audit.remarks import remarks

CARDS = Path(__file__).with_name("ic4406_image_fov.txt")


@pytest.fixture(scope="module")
def claims() -> FileClaims:
    lines = CARDS.read_text(encoding="ascii").splitlines()
    return read_claims((read_cards("".join(line.ljust(80) for line in lines).encode()),))


def test_the_chain_is_read(claims: FileClaims) -> None:
    told = [(c.number, c.recipe, c.pipeline, c.library) for c in claims.recipes]
    counts = [(len(c.raw), len(c.calibrations), len(c.parameters)) for c in claims.recipes]

    assert told == [
        (1, "muse_scibasic", "muse/2.5.0", "cpl-7.1"),
        (2, "muse_scipost", "muse/2.5.0", "cpl-7.1"),
    ]
    assert counts == [(2, 7, 26), (24, 4, 27)]
    assert [fault for claim in claims.recipes for fault in (*claim.faults, *claim.contradictions)] == []


def test_what_is_not_at_its_default_is_known_from_the_comments(claims: FileClaims) -> None:
    changed = {(c.recipe, p.name): p.value for c in claims.recipes for p in c.parameters if p.is_changed}
    untold = [(c.recipe, p.name) for c in claims.recipes for p in c.parameters if p.is_changed is None]

    assert changed == {
        ("muse_scibasic", "nifu"): "-1",
        ("muse_scibasic", "saveimage"): "false",
        ("muse_scipost", "dlambda"): "5",
        ("muse_scipost", "skymethod"): "none",
    }
    # Of `filter` the card left but two letters of the word Default.
    assert untold == [("muse_scipost", "filter")]


def test_inputs_are_read_with_their_sums(claims: FileClaims) -> None:
    first = claims.recipes[0]

    assert [(i.tag, i.archive_name) for i in first.raw] == [
        ("OBJECT", "MUSE.2017-06-16T01:34:56.867.fits"),
        ("ILLUM", "MUSE.2017-06-16T01:25:02.867.fits"),
    ]
    assert first.calibrations[1].name == "geometry_table_wfm_gto17.fits"
    assert first.calibrations[1].datamd5 == "4c688fecaa888fcf31dad4d12c3a246e"


def test_it_contradicts_itself_in_nothing(claims: FileClaims) -> None:
    found = remarks(claims)

    assert [remark for remark in found if remark.is_contradiction] == []
    assert sorted(remark.kind for remark in found) == ["empty-md5", "first-input"]
