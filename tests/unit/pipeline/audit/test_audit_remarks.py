"""What contradicts itself in a file is pointed out, and what is in order is not."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from builders import image, primary, sealed

from pipeline.audit.cards import FullCard
from pipeline.audit.claims import FileClaims, read_claims
from pipeline.audit.evidence import FITS_AS_ESOREX, FITS_EMPTY, FITS_NOT, datamd5, look_at
from pipeline.audit.remarks import remarks
from pipeline.fitsfile import read_hdus

FLAT: dict[str, Any] = {
    "DATE": "2026-01-17T00:00:00",
    "DATE-OBS": "2026-01-15T15:36:00.508",
    "MJD-OBS": 61055.65000588,
    "ARCFILE": "MUSE.2026-01-15T15:36:00.508.fits",
    "PIPEFILE": "MASTER_FLAT-01.fits",
    "ESO PRO CATG": "MASTER_FLAT",
    "ESO PRO DATANCOM": 1,
    "ESO INS MODE": "WFM-NOAO-N",
    "ESO PRO REC1 ID": "muse_flat",
    "ESO PRO REC1 PIPE ID": "muse/2.8.7",
    "ESO PRO REC1 DRS ID": "cpl-7.2.3",
    "ESO PRO REC1 RAW1 NAME": "MUSE.2026-01-15T15:36:00.508.fits",
    "ESO PRO REC1 RAW1 CATG": "FLAT",
    "ESO PRO REC1 CAL1 NAME": "MASTER_BIAS-01.fits",
    "ESO PRO REC1 CAL1 CATG": "MASTER_BIAS",
    "ESO PRO REC1 PARAM1 NAME": "nifu",
    "ESO PRO REC1 PARAM1 VALUE": "1",
}


def claims(**changes: Any) -> FileClaims:
    cards = FLAT | {key.replace("__", " ").replace("_of_", "-"): value for key, value in changes.items()}
    return read_claims(
        (
            tuple(
                FullCard(key, f"'{value}'" if isinstance(value, str) else str(value))
                for key, value in cards.items()
                if value is not None
            ),
        )
    )


def test_a_product_in_order_is_left_in_peace() -> None:
    assert remarks(claims()) == ()


@pytest.mark.parametrize(
    ("changes", "kind", "told"),
    [
        pytest.param(
            {"ESO__PRO__CATG": "MASTER_BIAS"},
            "wrong-product",
            "ESO PRO CATG is MASTER_BIAS, which muse_flat does not make (it makes MASTER_FLAT, TRACE_TABLE, "
            "TRACE_SAMPLES)",
            id="product",
        ),
        pytest.param(
            {
                "ESO__PRO__REC2__ID": "muse_scipost",
                "ESO__PRO__REC2__PIPE__ID": "muse/2.4.1",
                "ESO__PRO__CATG": "DATACUBE_FINAL",
            },
            "mixed-versions",
            "made with several versions of the pipeline: muse_flat muse/2.8.7, muse_scipost muse/2.4.1",
            id="versions",
        ),
        pytest.param(
            {"DATE": "2025-01-17T00:00:00"},
            "dates",
            "written 2025-01-17T00:00:00, before the exposure of 2026-01-15T15:36:00 was taken",
            id="written before",
        ),
        pytest.param(
            {"ESO__PRO__REC1__RAW1__NAME": "MUSE.2026-02-15T15:36:00.508.fits.fz"},
            "dates",
            "written 2026-01-17T00:00:00, before its input MUSE.2026-02-15T15:36:00.508.fits.fz was taken",
            id="input after",
        ),
        pytest.param(
            {"MJD_of_OBS": 61050.0},
            "dates",
            "MJD-OBS = 61050.0 and DATE-OBS = 2026-01-15T15:36:00.508 are 488161 s apart",
            id="MJD",
        ),
        pytest.param(
            {"ARCFILE": "MUSE.2026-01-15T15:40:00.508.fits"},
            "arcfile",
            "ARCFILE is MUSE.2026-01-15T15:40:00.508.fits, and REC1 muse_flat names other raw frames: "
            "MUSE.2026-01-15T15:36:00.508.fits",
            id="ARCFILE",
        ),
        pytest.param(
            {"PIPEFILE": "MASTER_FLAT-05.fits"},
            "ifu",
            "PIPEFILE is of IFU 5, and muse_flat was called for 1",
            id="IFU",
        ),
        pytest.param(
            {"ESO__PRO__REC1__CAL2__NAME": "trace_nfm.fits", "ESO__PRO__REC1__CAL2__CATG": "TRACE_TABLE"},
            "other-mode",
            "TRACE_TABLE trace_nfm.fits is of NFM by its name, and the file of WFM-NOAO-N",
            id="mode",
        ),
        pytest.param(
            {"ESO__PRO__REC1__CAL2__NAME": "raman.fits", "ESO__PRO__REC1__CAL2__CATG": "RAMAN_LINES"},
            "other-mode",
            "muse_flat was given RAMAN_LINES, and WFM-NOAO-N has no lasers",
            id="lasers",
        ),
        pytest.param(
            {"ESO__PRO__REC1__PARAM2__NAME": "nifu", "ESO__PRO__REC1__PARAM2__VALUE": "2"},
            "parameter-twice",
            "REC1 has the parameter nifu twice, as 1 and as 2",
            id="parameter twice",
        ),
        pytest.param(
            {
                "ESO__DRS__MUSE__FILTER__NAME": "white",
                **{
                    "ESO__PRO__REC1__PARAM2__NAME": "filter",
                    "ESO__PRO__REC1__PARAM2__VALUE": "Cousins_R,Johnson_V",
                },
            },
            "filter",
            "the image is in white, and muse_flat was asked for Cousins_R,Johnson_V",
            id="filter",
        ),
        pytest.param(
            {"PROCSOFT": "muse/2.4.1"},
            "procsoft",
            "PROCSOFT is muse/2.4.1, and muse_flat names muse/2.8.7",
            id="PROCSOFT",
        ),
        pytest.param(
            {"PROV1": "MUSE.2026-01-16T15:36:00.508.fits"},
            "sources",
            "PROVi names other frames than REC1 muse_flat: not MUSE.2026-01-15T15:36:00.508.fits",
            id="PROVi",
        ),
        pytest.param(
            {"PROV1": "MUSE.2026-01-15T15:36:00.508.fits", "NCOMBINE": 2},
            "ncombine",
            "NCOMBINE is 2, and PROVi names 1",
            id="NCOMBINE",
        ),
        pytest.param(
            {
                "ESO__PRO__REC2__ID": "muse_scipost",
                "ESO__PRO__REC2__RAW1__NAME": "x.fits",
                "ESO__PRO__REC2__RAW1__CATG": "PIXTABLE_OBJECT",
                "ESO__PRO__CATG": "DATACUBE_FINAL",
            },
            "broken-chain",
            "REC2 muse_scipost reads PIXTABLE_OBJECT, which REC1 muse_flat does not make",
            id="chain",
        ),
    ],
)
def test_a_contradiction_is_pointed_out(changes: dict[str, Any], kind: str, told: str) -> None:
    found = [(r.kind, r.text) for r in remarks(claims(**changes)) if r.is_contradiction]

    assert (kind, told) in found


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"ESO__PRO__REC1__CAL1__CATG": "TRACE_TABLE"},
            "muse_flat names no MASTER_BIAS that it read: nothing names the bias that was subtracted",
        ),
        (
            {"ESO__PRO__REC1__CAL1__DATAMD5": "d41d8cd98f00b204e9800998ecf8427e"},
            "DATAMD5 of MASTER_BIAS "
            "MASTER_BIAS-01.fits is that of a file without data: it identifies nothing",
        ),
        ({"ESO__PRO__REC3__ID": "muse_flat"}, "the chain of recipes has gaps: there are REC1, REC3"),
    ],
)
def test_what_is_worth_knowing_is_said(changes: dict[str, Any], told: str) -> None:
    assert told in [r.text for r in remarks(claims(**changes)) if not r.is_contradiction]


# Bytes


def product(path: Path, md5: str = "", spoilt: bool = False) -> Path:
    written = primary({"DATAMD5": md5} if md5 else {}) + sealed(
        image("DATA", [n % 1000 for n in range(40_000)])
    )
    if spoilt:
        written = written[:-2000] + b"\xff" + written[-1999:]
    path.write_bytes(written)
    return path


def test_datamd5_is_computed_as_esorex_does(tmp_path: Path) -> None:
    """Of each data unit the first 46080 bytes, again for each chunk: what lies behind may be anything."""
    path = product(tmp_path / "a.fits")
    sum_ = datamd5(path, read_hdus(path))

    assert look_at(product(tmp_path / "b.fits", sum_)).md5 == FITS_AS_ESOREX
    assert look_at(product(tmp_path / "c.fits", "0" * 32)).md5 == FITS_NOT
    spoilt = look_at(product(tmp_path / "d.fits", sum_, spoilt=True))
    assert spoilt.md5 == FITS_AS_ESOREX
    assert spoilt.digests is not None
    assert len(spoilt.digests.faults) == 2


def test_of_a_file_without_data_nothing_is_proven_by_datamd5(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary({"DATAMD5": "d41d8cd98f00b204e9800998ecf8427e"}))

    assert look_at(path).md5 == FITS_EMPTY


def test_checksums_that_are_no_numbers_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary({"DATASUM": "none"}))

    found = look_at(path)
    assert found.digests is not None
    assert found.digests.faults == ("DATASUM of HDU 0 does not agree with its data",)


def test_bytes_that_do_not_fit_are_contradictions(tmp_path: Path) -> None:
    evidence = look_at(product(tmp_path / "a.fits", "0" * 32, spoilt=True))

    kinds = [r.kind for r in remarks(claims(DATAMD5="0" * 32), evidence) if r.is_contradiction]
    assert kinds == ["datamd5", "checksum", "checksum"]


def test_sums_of_a_packed_file_are_not_said_to_agree(tmp_path: Path) -> None:
    plain = product(tmp_path / "a.fits")
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(product(plain, datamd5(plain, read_hdus(plain))).read_bytes()))

    found = look_at(packed)
    assert (found.sums, found.is_packed, found.md5) == (0, True, FITS_AS_ESOREX)
    assert look_at(plain).sums == 1
