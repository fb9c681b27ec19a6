"""Exit status 0 proves nothing: what is believed, and what is not (promise 11)."""

import struct
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import Value, hdu, image, primary, sealed, table

from pipeline.accept import Given, Verdict, accept
from pipeline.engine import Ending, EngineResult
from pipeline.model import Expected
from pipeline.products import Product, read_product

AT = datetime(2023, 2, 25, tzinfo=UTC)
DONE = EngineResult(Ending.EXITED, 0, None, AT, AT, 1, None, None, None, None, None, ())
GIVEN = Given(
    recipe="muse_bias",
    inputs=(("BIAS", "B1.fits"), ("BIAS", "B2.fits"), ("BADPIX_TABLE", "P.fits")),
    raw_tags=frozenset({"BIAS"}),
    expected=(Expected("MASTER_BIAS"),),
    ifus=(1,),
    exposures=(),
)
USED = GIVEN.inputs
DETECTOR = tuple(image(name, [1, 2]) for name in ("DATA", "DQ", "STAT"))
FLUX = {"BUNIT": "10**(-20)*erg/s/cm**2/Angstrom"}


def header(recipe: str, used: tuple[tuple[str, str], ...], **more: Value) -> dict[str, Value]:
    """Write the record of a call into a header."""
    cards: dict[str, Value] = {"DATAMD5": "0" * 32, "ESO PRO REC1 ID": recipe}
    for number, (tag, name) in enumerate(used, 1):
        cards |= {f"ESO PRO REC1 RAW{number} NAME": name, f"ESO PRO REC1 RAW{number} CATG": tag}
    return cards | more


def product(
    path: Path, tag: str, cards: Mapping[str, Value], *parts: bytes, is_sealed: bool = True
) -> Product:
    units = [primary({"ESO PRO CATG": tag, **cards}), *(parts or DETECTOR)]
    path.write_bytes(b"".join(map(sealed, units) if is_sealed else units))
    return read_product(path, tag)


def bias(folder: Path, used: tuple[tuple[str, str], ...] = USED, **more: Value) -> Product:
    return product(folder / "MASTER_BIAS-01.fits", "MASTER_BIAS", header("muse_bias", used, **more))


def judged(*products: Product, given: Given = GIVEN, log: str = "") -> Verdict:
    return accept(given, DONE, log, products, ())


def message(level: str, text: str) -> str:
    return f"12:00:00 [{level:^7}] muse_bias: [tid=000] {text}"


def test_what_is_whole_and_made_of_what_was_given_is_accepted(tmp_path: Path) -> None:
    verdict = judged(bias(tmp_path), log=message("INFO", "all is well"))

    assert verdict == Verdict("", "", (), 0, 0)
    assert verdict.is_accepted


@pytest.mark.parametrize(
    ("ending", "cause", "reason"),
    [
        ({"exit_status": 255}, "recipe error", "esorex left with 255: no frames"),
        ({"exit_status": None, "signal": 11}, "recipe error", "the recipe died of signal 11: no frames"),
        ({"ending": Ending.OUT_OF_MEMORY}, "out of memory", "the recipe met its memory limit"),
        ({"ending": Ending.TIMEOUT}, "timeout", "the recipe did not end in the time it was given"),
        ({"ending": Ending.KILLED, "signal": 15}, "killed", "the recipe was stopped by signal 15"),
        ({"ending": Ending.KILLED}, "killed", "the recipe was stopped by signal unknown"),
        ({}, "recipe error", "the log holds an error although esorex left with 0: no frames"),
    ],
    ids=["status", "signal", "memory", "timeout", "killed", "killed-somehow", "log"],
)
def test_the_end_of_the_program_is_judged_first(
    tmp_path: Path, ending: dict[str, object], cause: str, reason: str
) -> None:
    result = replace(DONE, **ending)  # type: ignore[arg-type]  # names of fields
    verdict = accept(GIVEN, result, message("ERROR", "no frames"), (bias(tmp_path),), ())

    assert verdict.cause == cause
    assert verdict.reason.startswith(reason)
    assert verdict.errors == 1


WARNINGS = [
    "EXTINCT_TABLE missing!",
    "PIXTABLE could not be loaded, it will be ignored!",
    "we already have IFU 12 of exposure 1",
    "Flux calibration returned rc=19",
    "the fit did not converge",
    "Channel for IFU 1 is missing",
    "Calibrations could not be loaded for IFU  1: TRACE_TABLE WAVECAL_TABLE",
    "No LSF_PROFILE (cube format) specified for IFU  1!",
]


@pytest.mark.parametrize("text", WARNINGS)
def test_a_warning_that_means_a_wrong_result_is_a_failure(tmp_path: Path, text: str) -> None:
    verdict = judged(bias(tmp_path), log=message("WARNING", text))

    assert (verdict.cause, verdict.warnings) == ("unproven", 1)


@pytest.mark.parametrize(
    "text",
    [
        "Unable to open directory /usr/lib/cpl/plugins",
        "Channel for IFU 13 is missing",
        "No LSF_PROFILE (cube format) specified for IFU 13!",
        "Calibrations could not be loaded for IFU 13: TRACE_TABLE WAVECAL_TABLE",
        "Telluric region 2 (range 6850.0...6960.0, reference region 6840.0...6990.0) outside data range",
    ],
)
def test_a_warning_that_means_nothing_is_counted_only(tmp_path: Path, text: str) -> None:
    verdict = judged(bias(tmp_path), log=message("WARNING", text))

    assert verdict == Verdict("", "", (), 1, 0)


def test_a_warning_that_a_reader_should_know_is_a_caveat_said_once(tmp_path: Path) -> None:
    line = message("WARNING", "Adapt pixel table to STD_RESPONSE")
    verdict = judged(bias(tmp_path), log=f"{line}\n{line}")

    assert verdict.is_accepted
    assert verdict.caveats == (
        "the flat-field spectrum was taken out again, as the STD_RESPONSE is without (Adapt pixel table to "
        "STD_RESPONSE); reduce STD and OBJECT exposures with flats of the same kind",
    )


def test_a_fault_of_a_file_is_the_reason(tmp_path: Path) -> None:
    verdict = accept(GIVEN, DONE, "", (bias(tmp_path),), ("MASTER_BIAS x.fits is no regular file",))

    assert (verdict.cause, verdict.reason) == ("unproven", "MASTER_BIAS x.fits is no regular file")


@pytest.mark.parametrize(
    ("used", "reason"),
    [
        (USED[1:], "BIAS B1.fits was dropped by the recipe: no product names it"),
        (USED[:2], "BADPIX_TABLE P.fits was not used by the recipe: no product names it"),
        ((*USED, ("EXTINCT_TABLE", "E.fits")), "a product names EXTINCT_TABLE E.fits, which was not given"),
        (
            (*USED[:2], ("EXTINCT_TABLE", "P.fits")),
            "a product names EXTINCT_TABLE P.fits, which was not given",
        ),
    ],
    ids=["raw-dropped", "calibration-unused", "not-given", "other-role"],
)
def test_a_product_is_made_of_what_was_given_and_of_all_of_it(
    tmp_path: Path, used: tuple[tuple[str, str], ...], reason: str
) -> None:
    verdict = judged(bias(tmp_path, used))

    assert (verdict.cause, verdict.reason) == ("unproven", reason)


def test_an_unfinished_product_has_no_checksum(tmp_path: Path) -> None:
    cards = header("muse_bias", USED)
    unsealed = product(tmp_path / "a.fits", "MASTER_BIAS", cards, is_sealed=False)
    uncomputed = bias(tmp_path, DATAMD5="Not computed")

    for found in (unsealed, uncomputed):
        assert judged(found).reason == f"{found.name} was not finished: it has no checksum"


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (Expected("MASTER_BIAS", 2), "1 MASTER_BIAS where 2 had to be made"),
        (Expected("MASTER_FLAT"), "0 MASTER_FLAT where 1 had to be made"),
        (
            Expected("MASTER_BIAS", 1, "white"),
            "0 MASTER_BIAS in the filter white where 1 had to be made; is the filter in the FILTER_LIST?",
        ),
    ],
    ids=["count", "tag", "filter"],
)
def test_every_expected_product_has_to_be_there(tmp_path: Path, expected: Expected, reason: str) -> None:
    verdict = judged(bias(tmp_path), given=replace(GIVEN, expected=(expected,)))

    assert (verdict.cause, verdict.reason) == ("missing product", reason)


# Post-processing

AXES: dict[str, Value] = {
    "XTENSION": "IMAGE",
    "BITPIX": -32,
    "NAXIS": 2,
    "NAXIS1": 2,
    "NAXIS2": 2,
    "PCOUNT": 0,
    "GCOUNT": 1,
}
PIXELS = tuple(
    image(name, [1], FLUX if name == "data" else {})
    for name in ("xpos", "ypos", "lambda", "data", "dq", "stat", "origin")
)
POST = Given("muse_scipost", (("PIXTABLE_OBJECT", "A.fits"),), frozenset({"PIXTABLE_OBJECT"}), (), (1, 2), ())


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        (FLUX["BUNIT"], ""),
        ("count", "C.fits is a DATACUBE_FINAL in count: it is not calibrated in flux"),
        (None, "C.fits is a DATACUBE_FINAL in no unit: it is not calibrated in flux"),
    ],
    ids=["flux", "count", "none"],
)
def test_a_cube_is_in_units_of_flux(tmp_path: Path, unit: str | None, reason: str) -> None:
    cards = header("muse_scipost", POST.inputs)
    parts = image("DATA", [1], {"BUNIT": unit}), image("STAT", [1])
    cube = product(tmp_path / "C.fits", "DATACUBE_FINAL", cards, *parts)

    assert judged(cube, given=POST).reason == reason


def test_a_cube_without_a_number_is_refused(tmp_path: Path) -> None:
    """Its checksums are right, and there is nothing in it."""
    empty = struct.pack(">4f", *[float("nan")] * 4)
    data = hdu({**AXES, "EXTNAME": "DATA", **FLUX}, empty)
    cube = product(
        tmp_path / "C.fits", "DATACUBE_FINAL", header("muse_scipost", POST.inputs), data, image("STAT", [1])
    )

    reason = judged(cube, given=POST).reason

    assert reason == "C.fits is a DATACUBE_FINAL whose DATA holds no number at all"


def test_a_product_is_what_it_was_declared_to_be(tmp_path: Path) -> None:
    cards = header("muse_bias", USED) | {"ESO PRO CATG": "MASTER_DARK"}
    found = product(tmp_path / "MASTER_BIAS-01.fits", "MASTER_BIAS", cards)

    assert judged(found).reason == (
        "MASTER_BIAS-01.fits was declared as MASTER_BIAS, and its header says MASTER_DARK"
    )


def test_a_product_lacks_nothing_of_what_its_tag_promises(tmp_path: Path) -> None:
    found = product(
        tmp_path / "B.fits", "MASTER_BIAS", header("muse_bias", USED), image("DATA", [1]), image("DQ", [1])
    )

    assert judged(found).reason == "B.fits is a MASTER_BIAS without an image named STAT"


@pytest.mark.parametrize(("merged", "is_accepted"), [(2, True), (1, False), (None, False)])
def test_a_reduced_table_holds_all_ifus(tmp_path: Path, merged: int | None, is_accepted: bool) -> None:
    cards = header("muse_scipost", POST.inputs, **{"ESO DRS MUSE PIXTABLE MERGED": merged})
    cards["ESO DRS MUSE PIXTABLE TYPE"] = "GEOFULL"
    found = product(tmp_path / "P.fits", "PIXTABLE_REDUCED", cards, *PIXELS)

    assert judged(found, given=POST).is_accepted is is_accepted


def test_a_list_that_a_recipe_reads_without_naming_it_is_no_fault(tmp_path: Path) -> None:
    given = replace(POST, inputs=(*POST.inputs, ("FILTER_LIST", "F.fits"), ("OFFSET_LIST", "O.fits")))
    found = product(tmp_path / "S.fits", "SKY_MASK", header("muse_scipost", POST.inputs))

    assert judged(found, given=given).is_accepted


# Alignment

EXPOSURES = ("2023-02-26T01:12:00.000", "2023-02-26T01:26:24.000")
ALIGN = replace(
    POST,
    recipe="muse_exp_align",
    inputs=(("IMAGE_FOV", "A.fits"),),
    raw_tags=frozenset({"IMAGE_FOV"}),
    expected=(Expected("OFFSET_LIST"),),
    exposures=EXPOSURES,
)


PLACES = ((10.0, 20.0), (50.0, 80.0), (90.0, 10.0), (30.0, 60.0), (70.0, 40.0), (20.0, 90.0), (80.0, 70.0))
SCALE_D = 0.2 / 3600
RA_D = 50.2 * SCALE_D
"""Some of the sources lie on one side of 0 h, some on the other."""


def offsets(
    folder: Path,
    matches: tuple[int | None, ...] = (8, 8),
    unmatched: int = 0,
    rows: tuple[str, ...] = EXPOSURES,
    shift: float = 1e-5,
) -> Product:
    qc: dict[str, Value] = {f"ESO QC EXPALIGN NMATCH{n}": m for n, m in enumerate(matches, 1)}
    qc["ESO QC EXPALIGN NOMATCH"] = unmatched
    shifts = [0.0] * (len(rows) - 1) + [shift]
    columns: dict[str, list[str] | list[float]] = {
        "DATE_OBS": list(rows),
        "MJD_OBS": [0.0] * len(rows),
        "RA_OFFSET": shifts,
        "DEC_OFFSET": [0.0] * len(rows),
    }
    cards = header("muse_exp_align", ALIGN.inputs) | qc
    return product(folder / "OFFSET_LIST.fits", "OFFSET_LIST", cards, table("OFFSETS", columns))


def sources(folder: Path, number: int, shift: float = 0.0, strangers: int = 0) -> Product:
    """List the sources of an exposure that is off by a shift in right ascension; the first are others."""
    places = [(x + 17.0 * (n < strangers), y) for n, (x, y) in enumerate(PLACES)]
    columns = {"X": [x for x, _ in places], "Y": [y for _, y in places]}
    columns |= {"RA": [(RA_D - x * SCALE_D + shift) % 360 for x, _ in places]}
    columns |= {"DEC": [y * SCALE_D for _, y in places]}
    cards = header("muse_exp_align", ALIGN.inputs) | {"DATE-OBS": EXPOSURES[number]}
    path = folder / f"SOURCE_LIST_{number + 1:04d}.fits"
    return product(path, "SOURCE_LIST", cards, table("SOURCES", columns))


def test_offsets_that_bring_sources_together_are_accepted(tmp_path: Path) -> None:
    """The offset is measured minus reference: it is subtracted."""
    lists = sources(tmp_path, 0), sources(tmp_path, 1, shift=1e-5)

    verdict = judged(offsets(tmp_path), *lists, given=ALIGN)

    assert verdict == Verdict("", "", (), 0, 0)


@pytest.mark.parametrize(("shift", "apart"), [(-1e-5, False), (1e-4, True)], ids=["sign", "far"])
def test_offsets_that_bring_no_sources_together_are_invented(
    tmp_path: Path, shift: float, apart: bool
) -> None:
    """Whatever the recipe counted as matches."""
    lists = sources(tmp_path, 0), sources(tmp_path, 1, shift=1e-5 if apart else 5e-5)

    verdict = judged(offsets(tmp_path, shift=shift), *lists, given=ALIGN)

    assert verdict.reason == (f"exposure {EXPOSURES[0]} was matched by 0 sources, at least 3 {INVENTED}")


def test_offsets_that_bring_few_sources_together_are_doubtful(tmp_path: Path) -> None:
    lists = sources(tmp_path, 0), sources(tmp_path, 1, shift=1e-5, strangers=4)

    verdict = judged(offsets(tmp_path), *lists, given=ALIGN)

    assert verdict.is_accepted
    assert verdict.caveats == tuple(
        f"only 3 of 7 sources of exposure {date} lie on those of another exposure: its offset is doubtful; "
        "look at PREVIEW_FOV.fits"
        for date in EXPOSURES
    )


def test_offsets_that_cannot_be_checked_are_refused(tmp_path: Path) -> None:
    verdict = judged(offsets(tmp_path), sources(tmp_path, 0), given=ALIGN)

    assert verdict.reason == (
        f"there is no list of sources of exposure {EXPOSURES[1]}: its offset cannot be checked"
    )


INVENTED = (
    "are needed: its offset would be invented; exclude it ([targets.NAME] exclude), or lower threshold of "
    "muse_exp_align"
)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (
            {"matches": (8, 2)},
            f"exposure {EXPOSURES[1]} was matched by 2 sources, at least 3 {INVENTED}",
        ),
        (
            {"matches": (None, 8)},
            f"exposure {EXPOSURES[0]} was matched by 0 sources, at least 3 {INVENTED}",
        ),
        ({"unmatched": 1}, "1 exposures were not matched with any other"),
        ({"rows": EXPOSURES[:1]}, f"OFFSET_LIST.fits has 0 rows for exposure {EXPOSURES[1]}"),
        ({"rows": EXPOSURES[:1] * 2}, f"OFFSET_LIST.fits has 2 rows for exposure {EXPOSURES[0]}"),
        ({"shift": float("nan")}, "OFFSET_LIST.fits holds an offset that is not a number"),
        ({"shift": float("inf")}, "OFFSET_LIST.fits holds an offset that is not a number"),
    ],
    ids=["few", "none", "unmatched", "no-row", "two-rows", "nan", "inf"],
)
def test_offsets_that_the_recipe_invents_are_refused(
    tmp_path: Path, how: dict[str, object], reason: str
) -> None:
    found = offsets(tmp_path, **how)  # type: ignore[arg-type]  # one case each

    verdict = judged(found, given=ALIGN)

    assert (verdict.cause, verdict.reason) == ("unproven", reason)
