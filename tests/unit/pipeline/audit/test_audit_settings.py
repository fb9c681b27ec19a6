"""Settings out of headers: what is known is set, what is not is said, and the file is always right."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from builders import primary, write_raw
from fakes import parameters_of
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.cards import FullCard, read_cards
from pipeline.audit.claims import read_claims
from pipeline.audit.findings import Finding, examine
from pipeline.audit.places import Places
from pipeline.audit.remarks import remarks
from pipeline.audit.settings import settings_for
from pipeline.config import check_document
from pipeline.image import RecipeParameter
from pipeline.own.table import OWN

SCIPOST: dict[str, Any] = {
    "ESO PRO CATG": "DATACUBE_FINAL",
    "ESO INS MODE": "WFM-AO-N",
    "ESO PRO REC1 ID": "muse_scipost",
    "ESO PRO REC1 PIPE ID": "muse/1.6.4",
    "ESO PRO REC1 RAW1 NAME": "PIXTABLE_OBJECT_0001-01.fits",
    "ESO PRO REC1 RAW1 CATG": "PIXTABLE_OBJECT",
    "ESO PRO REC1 CAL1 NAME": "STD_RESPONSE_0001.fits",
    "ESO PRO REC1 CAL1 CATG": "STD_RESPONSE",
    "ESO PRO REC1 CAL1 DATAMD5": "0" * 32,
    "ESO PRO REC1 PARAM1 NAME": "skymethod",
    "ESO PRO REC1 PARAM1 VALUE": "none",
    "ESO PRO REC1 PARAM2 NAME": "gone",
    "ESO PRO REC1 PARAM2 VALUE": "7",
    "ESO PRO REC1 PARAM3 NAME": "filter",
    "ESO PRO REC1 PARAM3 VALUE": "white,Johnson_V",
}


def examined(path: Path, cards: dict[str, Any], *folders: Path) -> tuple[Finding, Places]:
    path.write_bytes(primary(cards))
    places = Places(folders)
    return examine(path, places, parameters_of), places


def written(path: Path, cards: dict[str, Any], *folders: Path) -> str:
    finding, places = examined(path, cards, *folders)
    return settings_for(finding, places, parameters_of, None, "2.8.7").text(path.parent)


def document(text: str) -> dict[str, Any]:
    found = tomllib.loads(text)
    assert check_document(text, found)[1] == ()
    return found


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    text = written(tmp_path / "cube.fits", SCIPOST)

    flat = " ".join(text.replace("#", "").split())
    assert "GUESS: made with muse/1.6.4, and this image has muse/2.8.7" in flat
    assert "UNKNOWN: how PIXTABLE_OBJECT PIXTABLE_OBJECT_0001-01.fits was made" in flat
    assert f"UNKNOWN: how STD_RESPONSE STD_RESPONSE_0001.fits (DATAMD5 {'0' * 32}) was made" in flat
    assert "GUESS: left out: gone = 7, which the recipe of this image does not have" in flat
    assert "UNKNOWN which, needed too: OBJECT" in flat
    found = document(text)
    assert found["data"]["mode"] == "WFM-AO-N"
    assert found["override"][0]["where"] == {"stage": "scipost"}
    assert found["override"][0]["recipes"]["muse_scipost"] == {
        "skymethod": "none",
        "filter": "white,Johnson_V",
    }


def test_sources_of_phase_3_are_needed(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw", "OBJECT", 61056.1)
    cards = {"PROCSOFT": "muse/2.4", "PROV1": raw.name, "PROV2": "MUSE.2017-01-01T00:00:00.000.fits"}

    text = written(tmp_path / "p3.fits", cards, tmp_path / "raw")
    assert document(text)["data"]["raw"] == [f"raw/{raw.name}", "raw"]
    assert "# needed: OBJECT MUSE.2017-01-01T00:00:00.000.fits (read by PROV2)" in text
    assert "UNKNOWN: no header names a recipe" in text


def test_nothing_of_a_header_escapes_into_the_settings(tmp_path: Path) -> None:
    """A name in a header is text, whatever stands in it."""
    hostile = 'x"]\n[clio]\nstore = "/etc" #'
    cards = SCIPOST | {
        "ESO PRO REC1 PARAM3 VALUE": hostile.replace("\n", "\x0a"),
        "ESO PRO REC1 CAL1 NAME": hostile,
    }

    found = document(written(tmp_path / "cube.fits", cards))
    assert found["clio"] == {"numerics": "native"}
    assert "sof" not in found


@pytest.mark.parametrize("value", ["seven", "1e400", "-"])
def test_values_that_are_none_are_left_out(tmp_path: Path, value: str) -> None:
    cards = SCIPOST | {"ESO PRO REC1 PARAM1 NAME": "lambdamin", "ESO PRO REC1 PARAM1 VALUE": value}

    text = written(tmp_path / "cube.fits", cards)
    assert f"GUESS: left out: lambdamin = {value}" in text
    document(text)


_WORDS = st.sampled_from(
    ["ID", "PIPE ID", "RAW1 NAME", "RAW1 CATG", "CAL99999 NAME", "PARAM1 NAME", "PARAM1 VALUE", "PARAM7 NAME"]
)


@given(
    st.lists(st.tuples(st.integers(0, 12), _WORDS, st.text(max_size=12)), max_size=12), st.text(max_size=8)
)
def test_claims_of_any_cards_can_be_read_and_judged(rows: list[tuple[int, str, str]], comment: str) -> None:
    cards = tuple(
        FullCard(f"ESO PRO REC{n} {word}", "'" + value.replace("'", "''") + "'", comment)
        for n, word, value in rows
    )

    for remark in remarks(read_claims((cards,))):
        assert remark.text


@given(st.binary(max_size=400))
def test_cards_of_any_bytes_can_be_read(raw: bytes) -> None:
    for card in read_cards(raw):
        assert (card.token + card.comment + card.keyword).isprintable() or not raw.isascii()


def test_an_alignment_by_reference_is_set(tmp_path: Path) -> None:
    cards = {
        "ESO PRO CATG": "OFFSET_LIST",
        "ESO PRO REC1 ID": "clio_align",
        "ESO PRO REC1 RAW1 NAME": "IMAGE_FOV_0001.fits",
        "ESO PRO REC1 RAW1 CATG": "IMAGE_FOV",
        "ESO PRO REC1 CAL1 NAME": "wide.fits",
        "ESO PRO REC1 CAL1 CATG": "REFERENCE_IMAGE",
        "ESO PRO REC1 PARAM1 NAME": "search",
        "ESO PRO REC1 PARAM1 VALUE": "20",
    }
    path = tmp_path / "offsets.fits"
    path.write_bytes(primary(cards))

    def known(recipe: str) -> tuple[RecipeParameter, ...]:
        return OWN[recipe].parameters if recipe in OWN else parameters_of(recipe)

    found = examine(path, Places(()), known)
    text = settings_for(found, Places(()), known, None).text(tmp_path)
    assert document(text)["recipes"]["clio_align"] == {"search": 20.0}
    assert document(text)["workflow"]["align"] == "reference"


FLAT: dict[str, Any] = {
    "ESO PRO CATG": "MASTER_FLAT",
    "ESO INS MODE": "WFM-NOAO-N",
    "ESO TPL START": "2026-01-15T15:35:52",
    "DATE-OBS": "2026-01-15T15:36:00.508",
    "ESO PRO REC1 ID": "muse_flat",
    "ESO PRO REC1 RAW1 NAME": "MUSE.2026-01-15T15:36:00.508.fits",
    "ESO PRO REC1 RAW1 CATG": "FLAT",
    "ESO PRO REC1 RAW2 NAME": "MUSE.2026-01-15T15:36:59.638.fits",
    "ESO PRO REC1 RAW2 CATG": "FLAT",
    "ESO PRO REC1 CAL1 NAME": "MASTER_BIAS-01.fits",
    "ESO PRO REC1 CAL1 CATG": "MASTER_BIAS",
    "ESO PRO REC1 PARAM1 NAME": "nifu",
    "ESO PRO REC1 PARAM1 VALUE": 1,
}


def test_frames_are_listed_as_the_header_has_them(tmp_path: Path) -> None:
    found = document(written(tmp_path / "flat.fits", FLAT))

    assert found["sof"] == [
        {
            "where": {"stage": "flat", "template": "2026-01-15T15:35:52"},
            "ifu": 1,
            "frames": [
                "MUSE.2026-01-15T15:36:00.508.fits FLAT",
                "MUSE.2026-01-15T15:36:59.638.fits FLAT",
                "MASTER_BIAS-01.fits MASTER_BIAS",
            ],
        }
    ]
    assert found["clio"]["numerics"] == "native"


@pytest.mark.parametrize(
    ("changes", "is_listed"),
    [
        ({"ESO PRO REC1 CAL1 NAME": "MASTER_BIAS-01_0123456789ab.fits"}, False),
        ({"ESO PRO REC1 RAW1 NAME": "flat_1.fits"}, True),
        ({"ESO PRO REC1 RAW1 NAME": "MUSE.2026-01-15T16:00:00.000.fits"}, True),  # the later one first
        ({"ESO PRO REC1 CAL2 NAME": "lines.fits", "ESO PRO REC1 CAL2 CATG": "LINES"}, True),
    ],
)
def test_what_clio_would_do_anyway_is_not_listed(
    tmp_path: Path, changes: dict[str, Any], is_listed: bool
) -> None:
    """Promise 2: its own names follow from content, and may be others the next time."""
    ours = {"ESO PRO REC1 CAL1 NAME": "MASTER_BIAS-01_0123456789ab.fits"}

    assert ("sof" in document(written(tmp_path / "flat.fits", FLAT | ours | changes))) == is_listed


def test_files_that_were_found_are_counted_in_the_order_of_time(tmp_path: Path) -> None:
    """Whatever they are called, and wherever they stand."""
    dates = {"b.fits": "2026-01-15T15:40:00.000", "a.fits": "2026-01-15T15:50:00.000"}
    for name, date in dates.items():
        (tmp_path / name).write_bytes(primary({"DATE-OBS": date, "ESO DPR CATG": "CALIB"}))
    names = {"ESO PRO REC1 RAW1 NAME": "a.fits", "ESO PRO REC1 RAW2 NAME": "b.fits"}

    (table,) = document(written(tmp_path / "flat.fits", FLAT | names, tmp_path))["sof"]
    assert table["frames"][:2] == ["a.fits FLAT 2", "b.fits FLAT 1"]


def test_one_ifu_of_a_call_for_all_does_not_speak_for_the_others(tmp_path: Path) -> None:
    """Its header names the masters of its own IFU; a product of all IFUs names all of them."""
    assert "sof" not in document(written(tmp_path / "flat.fits", FLAT | {"ESO PRO REC1 PARAM1 VALUE": 0}))


def test_a_name_that_no_set_of_frames_can_hold_is_said(tmp_path: Path) -> None:
    text = written(tmp_path / "flat.fits", FLAT | {"ESO PRO REC1 CAL1 NAME": "my bias.fits"})

    assert "sof" not in document(text)
    assert (
        "UNKNOWN: the order and names of its inputs: CAL1 my bias.fits MASTER_BIAS of muse_flat"
        in text.replace("\n#   ", " ")
    )


@pytest.mark.parametrize(
    ("recipe", "catg", "where"),
    [
        ("muse_scibasic", "PIXTABLE_OBJECT", {"stage": "scibasic", "exposure": "2026-01-15T15:36:00.508"}),
        ("muse_scipost", "DATACUBE_FINAL", {"stage": "scipost", "dataset": "200012345"}),
        ("muse_exp_combine", "DATACUBE_FINAL", {"stage": "combine", "dataset": "200012345"}),
        ("muse_bias", "MASTER_BIAS", {"stage": "bias", "template": "2026-01-15T15:35:52"}),
    ],
)
def test_the_step_is_named_by_what_its_stage_goes_by(
    tmp_path: Path, recipe: str, catg: str, where: dict[str, str]
) -> None:
    cards = FLAT | {"ESO PRO CATG": catg, "ESO PRO REC1 ID": recipe, "ESO OBS ID": 200012345}

    (table,) = document(written(tmp_path / "product.fits", cards))["sof"]
    assert table["where"] == where
