"""Static calibrations and the truth on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pipeline.modes import MODES
from pipeline.simulate import NightOptions
from pipeline.simulate.night import night
from pipeline.simulate.scene import scene
from pipeline.simulate.statics import static_names, write_statics
from pipeline.simulate.truth import write_truth


@pytest.fixture(scope="module")
def statics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("calib")
    write_statics(directory)
    return directory


def test_statics_are_the_delivered_set_told_apart_by_category(statics: Path) -> None:
    found = {path.name: fits.getheader(path)["ESO PRO CATG"] for path in statics.iterdir()}

    assert found == {
        "astrometry_wcs_wfm.fits": "ASTROMETRY_WCS",
        "badpix_table.fits": "BADPIX_TABLE",
        "extinct_table.fits": "EXTINCT_TABLE",
        "filter_list.fits": "FILTER_LIST",
        "geometry_table_wfm.fits": "GEOMETRY_TABLE",
        "line_catalog.fits": "LINE_CATALOG",
        "sky_lines.fits": "SKY_LINES",
        "std_flux_table.fits": "STD_FLUX_TABLE",
        "vignetting_mask.fits": "VIGNETTING_MASK",
    }


def test_modes_add_the_statics_of_their_field_and_their_lasers(tmp_path: Path) -> None:
    usual = set(static_names())

    added = {mode: set(static_names((mode,))) - usual for mode in MODES}

    assert added == {
        "WFM-NOAO-N": set(),
        "WFM-NOAO-E": set(),
        "WFM-AO-N": {"raman_lines.fits"},
        "WFM-AO-E": {"raman_lines.fits"},
        "NFM-AO-N": {"raman_lines.fits", "geometry_table_nfm.fits", "astrometry_wcs_nfm.fits"},
    }
    written = {path.name: fits.getheader(path) for path in write_statics(tmp_path, ("NFM-AO-N",))}
    assert usual | added["NFM-AO-N"] == written.keys()
    assert written["astrometry_wcs_nfm.fits"]["CD2_2"] == pytest.approx(0.025 / 3600)
    assert {"NFM"} == {
        header["ESO INS OPTI2 NAME"] for name, header in written.items() if name.endswith("_nfm.fits")
    }


def test_raman_lines_are_of_two_groups_about_where_the_recipe_looks_for_them(tmp_path: Path) -> None:
    write_statics(tmp_path, ("WFM-AO-N",))
    lines = fits.getdata(tmp_path / "raman_lines.fits", "LINES")

    assert {0, 1} == set(lines["group"])
    for group, wavelength in ((0, 6484.0), (1, 6827.0)):
        own = lines[lines["group"] == group]
        assert own["lambda"][np.argmax(own["flux"])] == pytest.approx(wavelength, abs=1.0)


def test_statics_cannot_be_taken_for_products_of_an_ifu(statics: Path) -> None:
    for path in statics.iterdir():
        header = fits.getheader(path)
        assert "PIPEFILE" not in header
        assert "EXTNAME" not in header


def test_statics_are_the_same_bytes_whenever_written(statics: Path, tmp_path: Path) -> None:
    for path in write_statics(tmp_path):
        assert path.read_bytes() == (statics / path.name).read_bytes()


def test_statics_carry_valid_checksums(statics: Path) -> None:
    for path in statics.iterdir():
        # Reading a name in upper case would change the header that the checksum is of.
        case_kept = fits.conf.set_temp("extension_name_case_sensitive", True)
        with case_kept, fits.open(path, checksum=True) as hdus:
            assert all(hdu.verify_checksum() == 1 == hdu.verify_datasum() for hdu in hdus)


def test_filters_keep_the_case_of_their_names(statics: Path) -> None:
    with (
        fits.conf.set_temp("extension_name_case_sensitive", True),
        fits.open(statics / "filter_list.fits") as hdus,
    ):
        names = [hdu.header["EXTNAME"] for hdu in hdus[1:]]

    assert names == ["white", "Johnson_B", "Johnson_V", "Cousins_R", "SDSS_g", "SDSS_r", "SDSS_i"]


def test_geometry_holds_48_slices_for_each_of_24_ifus(statics: Path) -> None:
    table = fits.getdata(statics / "geometry_table_wfm.fits", 1)

    assert len(table) == 1152
    assert tuple(table["SliceSky"][:3]) == (9, 8, 1)


def test_line_catalogue_is_of_the_version_the_recipe_reads(statics: Path) -> None:
    assert fits.getheader(statics / "line_catalog.fits")["VERSION"] == 3
    waves = fits.getdata(statics / "line_catalog.fits", 1)["lambda"]
    assert np.all(np.diff(waves) > 0)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("truth")
    write_truth(directory, NightOptions())
    return directory


def read(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "truth.json").read_text())
    return document


def test_truth_names_every_source_and_every_exposure(truth: Path) -> None:
    document = read(truth)

    assert [s.name for s in scene(NightOptions())] == [s["name"] for s in document["sources"]]
    assert [e.name for e in night(NightOptions())] == [e["name"] for e in document["exposures"]]
    assert document["options"] == {"ifus": [1, 2], "exposures": 3, "seed": 1, "compress": "none"}


def test_truth_says_the_same_in_both_forms(truth: Path) -> None:
    document = read(truth)

    with fits.open(truth / "truth.fits") as hdus:
        sources, exposures = hdus["SOURCES"].data, hdus["EXPOSURES"].data
        spectra, lines = hdus["SPECTRA"].data, hdus["LINES"].data
        assert [s["ra_deg"] for s in document["sources"]] == list(sources["ra_deg"])
        errors = [e["error_west_arcsec"] for e in document["exposures"] if "ra_deg" in e]
        assert errors == list(exposures["error_west_arcsec"])
        assert {s["name"] for s in document["sources"]} <= set(spectra.names)
        assert sum(len(s["lines"]) for s in document["sources"]) == len(lines)


def test_truth_spectrum_has_the_magnitude_it_names(truth: Path) -> None:
    star = read(truth)["sources"][0]

    spectra = fits.getdata(truth / "truth.fits", "SPECTRA")
    flux = np.interp(5500.0, spectra["wavelength"], spectra[star["name"]])

    assert 3.63e-9 * 10 ** (-0.4 * star["v_mag"]) == pytest.approx(flux, rel=1e-4)


def test_the_seed_changes_the_truth_and_nothing_else_does(truth: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    same.mkdir()
    other.mkdir()
    write_truth(same, NightOptions(jobs=3))
    write_truth(other, NightOptions(seed=2))

    assert (truth / "truth.fits").read_bytes() == (same / "truth.fits").read_bytes()
    assert read(truth) == read(same)
    assert read(truth)["sources"] != read(other)["sources"]


def test_truth_of_many_fields_tells_them_apart(tmp_path: Path) -> None:
    options = NightOptions(exposures=1, modes=("WFM-AO-N", "NFM-AO-N"), targets=("A", "B"), datasets=2)
    write_truth(tmp_path, options)
    document = read(tmp_path)

    names = [source["name"] for source in document["sources"]]
    assert len(names) == len(set(names))
    assert {(s.get("target", 1), s.get("field", "WFM")) for s in document["sources"]} == {
        (1, "WFM"), (1, "NFM"), (2, "WFM"), (2, "NFM"),
    }  # fmt: skip
    assert document["options"]["modes"] == ["WFM-AO-N", "NFM-AO-N"]
    objects = [e for e in document["exposures"] if e["tag"] == "OBJECT"]
    assert [(e.get("target", 1), e["mode"]) for e in objects] == [
        (1, "WFM-AO-N"), (1, "NFM-AO-N"), (2, "WFM-AO-N"), (2, "NFM-AO-N"),
    ]  # fmt: skip
    spectra = fits.getdata(tmp_path / "truth.fits", "SPECTRA")
    assert set(names) <= set(spectra.names)
