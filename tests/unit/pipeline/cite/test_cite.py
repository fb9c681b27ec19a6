"""Words for a paper: nothing that the lineage does not say, and the same every time."""

import re
from dataclasses import replace

import pytest

from pipeline.cite.bibliography import LIBRARIES, bibtex, used
from pipeline.cite.facts import Calibration, Call, Cited, Exposure
from pipeline.cite.phase3 import Keyword, State, keywords
from pipeline.cite.tables import ecsv, latex
from pipeline.cite.words import acknowledgement, methods
from pipeline.fitsfile import Value

EXPOSURE = Exposure(
    tag="OBJECT",
    arcfile="MUSE.2026-01-16T01:42:00.490.fits",
    digest="sha256:" + "1" * 64,
    date_obs="2026-01-16T01:42:00.490",
    mjd=61056.070839,
    exptime_s=600.0,
    target="NGC 1",
    programme="60.A-9100(X)",
    block="200012345",
    mode="WFM-NOAO-N",
    airmass=1.2,
    seeing_arcsec=0.7,
    known_by="product",
)
SECOND = replace(
    EXPOSURE,
    arcfile="MUSE.2026-01-16T01:57:00.470.fits",
    date_obs="2026-01-16T01:57:00.470",
    mjd=61056.081255,
    programme="0101.B-0001(A)",
)
CITED = Cited(
    digest="sha256:" + "a" * 64,
    data_digest="fits1:" + "b" * 64,
    tag="DATACUBE_FINAL",
    name="DATACUBE_FINAL.fits",
    calls=(
        Call("bias", "muse_bias", "muse/2.8.7", 2, ()),
        Call("scipost", "muse_scipost", "muse/2.8.7", 1, (("filter", "white,Cousins_R", "workflow"),)),
    ),
    calibrations=(
        Calibration("scibasic", "MASTER_BIAS", ("2026-01-15T13:59:52",), 0, 42068, 42068, False),
        Calibration("scibasic", "ILLUM", ("2026-01-16T01:36:00.698",), 1, 360, 900, False),
        Calibration("scibasic", "GEOMETRY_TABLE", ("2026-01-01",), 0, 1302120, 1302120, True),
    ),
    exposures=(EXPOSURE, SECOND),
    frames=(("BIAS", 3),),
    statics=(("GEOMETRY_TABLE", "sha256:" + "2" * 64),),
    images=(("sha256:" + "c" * 64, "linux/amd64"),),
    packages=(("cpl", "7.2.3"), ("esorex", "3.13.6+ds-1")),
    libraries=(),
    clio=("0.1.0",),
    numerics=("pinned",),
    foreign=(),
    doubts=(),
)


def test_methods_say_what_the_lineage_says() -> None:
    assert methods(CITED, used(CITED)) == (
        "The DATACUBE_FINAL was made from 2 exposures of NGC 1 in WFM-NOAO-N, 1200 s in total, taken on "
        "2026-01-16. They were reduced with version 2.8.7 of the MUSE pipeline (Weilbacher et al. 2020), "
        "run by Clio 0.1.0 through EsoRex 3.13.6 and CPL 7.2.3 (ESO CPL Development Team 2015; ESO CPL "
        f"Development Team 2014) in the container image sha256:{'c' * 64} (linux/amd64). The recipes were, "
        "in order: "
        "muse_bias (2 runs, bias), muse_scipost (1 run, scipost). Parameters other than the defaults of the "
        "recipes were: muse_scipost in scipost: filter = white,Cousins_R. All others were at them, but that "
        "each IFU may have been reduced by itself (nifu). Calibrations, with their distance in time from "
        "what they calibrate and the level of the choice (0 is as in ESO's calibration plan), were "
        "MASTER_BIAS 11.7 h (level 0), ILLUM 6 min to 15 min (level 1). The raw frames used for calibration "
        "were 3 BIAS. The static calibrations were GEOMETRY_TABLE. The product has the digest "
        f"sha256:{'a' * 64}, data digest fits1:{'b' * 64}."
    )


def test_for_latex_it_is_escaped_and_cited() -> None:
    text = methods(CITED, used(CITED), latex=True)

    assert r"muse\_scipost" in text
    assert r"the MUSE pipeline \citep{Weilbacher2020}" in text
    assert r"\citep{EsoRex,CPL}" in text
    assert re.search(r"(?<!\\)[_%&#$]", text.replace(r"\citep{EsoRex,CPL}", "")) is None


def test_what_is_not_known_is_not_said() -> None:
    blind = replace(EXPOSURE, exptime_s=None, mjd=None, date_obs="", programme="", target="", known_by="")
    cited = replace(CITED, exposures=(blind, SECOND), packages=(), images=())

    text = methods(cited, used(cited))
    assert "with exposure times that are not known for 1 of them." in text
    assert "s in total" not in text
    assert "through EsoRex and CPL (ESO" in text
    assert "container image" not in text
    assert acknowledgement(cited).endswith(
        "under ESO programme 0101.B-0001(A) [and unknown ones, of 1 exposure]."
    )


def test_programmes_are_acknowledged_but_those_of_standard_stars() -> None:
    star = replace(EXPOSURE, tag="STD", programme="60.A-9022(C)")

    assert acknowledgement(replace(CITED, exposures=(EXPOSURE, SECOND, star))) == (
        "Based on observations collected at the European Southern Observatory under ESO programmes "
        "0101.B-0001(A) and 60.A-9100(X)."
    )
    assert "60.A-9022(C)" in acknowledgement(replace(CITED, exposures=(star,)))
    assert acknowledgement(replace(CITED, exposures=())) == ""


def test_only_what_was_used_is_cited() -> None:
    plain = [entry.key for entry in used(CITED)]
    aligned = [
        e.key for e in used(replace(CITED, libraries=(("photutils", "3"), ("python", "CPython 3.11"))))
    ]

    assert plain == ["Weilbacher2020", "EsoRex", "CPL", "Clio"]
    assert aligned == ["Weilbacher2020", "EsoRex", "CPL", "Photutils", "Clio"]
    assert [entry.key for entry in used(replace(CITED, calls=()))] == ["Clio"]


def test_bibtex_is_balanced() -> None:
    text = bibtex((*used(CITED), *LIBRARIES.values()))

    assert text.count("{") == text.count("}")
    keys = re.findall(r"@\w+\{(\w+),", text)
    assert len(keys) == len(set(keys)) == text.count("@")


# Tables


def test_the_table_is_read_back_as_ecsv() -> None:
    from astropy.io import ascii as tables

    blind = replace(SECOND, airmass=None, target='a "b", c')
    table = tables.read(ecsv(replace(CITED, exposures=(EXPOSURE, blind))), format="ecsv")

    assert list(table["arcfile"]) == [EXPOSURE.arcfile, blind.arcfile]
    assert str(table["exptime"].unit) == "s"
    assert table["target"][1] == 'a "b", c'
    assert list(table["airmass"].mask) == [False, True]
    assert table.meta["product"] == CITED.digest


def test_a_table_of_latex_has_as_many_cells_everywhere() -> None:
    rows = [line for line in latex(CITED).splitlines() if line.endswith("\\\\")]

    assert len(rows) == 4
    assert len({row.count("&") for row in rows}) == 1


# Phase 3

COMPLETE: dict[str, Value] = {
    "PRODCATG": "SCIENCE.CUBE.IFS",
    "ORIGIN": "ESO",
    "TELESCOP": "ESO-VLT-U4",
    "INSTRUME": "MUSE",
    "OBSTECH": "IFU",
    "PROCSOFT": "muse/2.8.7",
    "PROG_ID": "MULTI",
    "PROGID1": "60.A-9100(X)",
    "PROGID2": "0101.B-0001(A)",
    "OBID1": 200012345,
    "MJD-OBS": 61056.070839,
    "MJD-END": 61056.081255 + 600 / 86400,
    "TEXPTIME": 1200.0,
    "NCOMBINE": 2,
    "PROV1": SECOND.arcfile,
    "PROV2": EXPOSURE.arcfile,
    "REFERENC": "",
    "RADESYS": "FK5",
}


def states(header: dict[str, Value], *among: State) -> list[str]:
    return [found.name for found in keywords(CITED, header) if found.state in among]


def test_a_complete_header_lacks_nothing() -> None:
    assert states(COMPLETE, State.MISSING, State.WRONG) == []
    assert "EXPTIME" in states(COMPLETE, State.UNKNOWN)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"PROV2": "MUSE.2020-01-01T00:00:00.000.fits"}, ["PROV2"]),
        ({"PROV3": EXPOSURE.arcfile}, ["PROV3"]),
        ({"PROG_ID": "60.A-9100(X)"}, ["PROG_ID"]),
        ({"PROGID2": "60.A-9100(Y)"}, ["PROGID2"]),
        ({"OBID1": 1}, ["OBID1"]),
        ({"TEXPTIME": 600.0}, ["TEXPTIME"]),
        ({"NCOMBINE": "two"}, ["NCOMBINE"]),
        ({"MJD-END": 61056.08}, ["MJD-END"]),
        ({"REFERENC": "Weilbacher 2020"}, ["REFERENC"]),
        ({"RADESYS": "GALACTIC"}, ["RADESYS"]),
    ],
)
def test_what_contradicts_the_lineage_is_wrong(changes: dict[str, Value], names: list[str]) -> None:
    assert states(COMPLETE | changes, State.WRONG) == names


def test_what_is_missing_is_given() -> None:
    header = {key: value for key, value in COMPLETE.items() if not key.startswith("PROV")}

    found = [k for k in keywords(CITED, header) if k.state is State.MISSING]
    assert found == [
        Keyword("PROV1", State.MISSING, "", EXPOSURE.arcfile),
        Keyword("PROV2", State.MISSING, "", SECOND.arcfile),
    ]


def test_what_the_lineage_does_not_know_cannot_be_told() -> None:
    cited = replace(CITED, exposures=(replace(EXPOSURE, mjd=None, programme="", block=""),))

    unknown = {k.name for k in keywords(cited, COMPLETE) if k.state is State.UNKNOWN}
    assert {"PROG_ID", "OBID1", "MJD-OBS", "MJD-END", "TEXPTIME"} <= unknown
