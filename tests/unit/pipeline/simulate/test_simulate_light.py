"""Lamps, night sky, stars: what is put in."""

import math
from functools import lru_cache

import numpy as np
import pytest

from pipeline.modes import MODES, WIDE
from pipeline.simulate import NightOptions, spectra
from pipeline.simulate.airglow import GROUPS, sky_lines
from pipeline.simulate.field import SPAXEL_ARCSEC, bands, extent
from pipeline.simulate.lamps import LAMPS, arc_lines
from pipeline.simulate.night import DITHERS_ARCSEC, MAX_ERROR_ARCSEC, night
from pipeline.simulate.optics import GRID_SIZE, dispersion_a, grid
from pipeline.simulate.render import Light, light_of
from pipeline.simulate.scene import PSF, Source, flux_density, point_spread, scene, standard_star


def test_arc_lines_are_sorted_and_never_nearer_than_the_recipe_tells_apart() -> None:
    lines = arc_lines()

    waves = [line.wavelength_a for line in lines]
    assert sorted(waves) == waves
    for lamp in LAMPS:
        own = [line.wavelength_a for line in lines if line.lamp == lamp]
        assert min(np.diff(own)) > 5.0
        assert len(own) >= 4


def test_arc_lines_good_for_the_fit_are_as_many_as_in_a_real_slice() -> None:
    good = [line for line in arc_lines() if line.quality >= 3 and 4750.0 < line.wavelength_a < 9350.0]

    assert 65 <= len(good) <= 90
    assert any(line.quality == 5 for line in good)


def test_a_line_keeps_its_electrons_when_spread_over_pixels() -> None:
    table = np.zeros(GRID_SIZE)
    spectra.line_electrons(table, 6562.8, 1000.0)

    step = float(dispersion_a(np.array(6562.8)))
    pixels = np.interp(6562.8 + step * np.arange(-8, 9) + 0.3, grid(), table)

    assert pixels.sum() == pytest.approx(1000.0, rel=5e-4)


def test_a_line_outside_the_grid_leaves_nothing() -> None:
    table = np.zeros(GRID_SIZE)
    spectra.line_electrons(table, 3000.0, 1000.0)

    assert not table.any()


def test_sky_lines_are_groups_without_a_gap_and_hold_the_lines_scibasic_wants() -> None:
    lines = sky_lines()

    assert set(range(len(GROUPS))) == {line.group for line in lines}
    assert {5577.339, 6300.304} <= {line.wavelength_a for line in lines}
    assert len([line for line in lines if 6400.0 < line.wavelength_a < 7000.0]) >= 30
    assert max(len(line.name) for line in lines) <= 20


@pytest.mark.parametrize(
    ("wavelength", "near"),
    [(6533.04, 1.0), (6553.62, 1.0), (6900.83, 1.0), (6923.22, 1.0), (7316.28, 2.0), (7340.89, 2.0)],
)
def test_hydroxyl_lines_lie_about_where_observers_know_them(wavelength: float, near: float) -> None:
    assert min(abs(line.wavelength_a - wavelength) for line in sky_lines()) < near


def test_the_atmosphere_takes_more_at_a_higher_airmass() -> None:
    low, high = spectra.atmosphere(1.0), spectra.atmosphere(1.5)

    assert np.all(high < low)
    assert low.max() < 1.0


def test_the_point_spread_function_is_whole_and_as_wide_as_the_seeing() -> None:
    assert pytest.approx(sum(weight for weight, _ in PSF)) == 1.0
    gaussians = point_spread(0.65)

    def brightness(radius: float) -> float:
        return sum(w / s**2 * math.exp(-0.5 * (radius / s) ** 2) for w, s in gaussians)

    assert pytest.approx(brightness(0.325) / brightness(0.0), abs=0.01) == 0.5


@pytest.mark.parametrize("ifus", [(1, 2), (12, 13), (5,), (1, 2, 3), tuple(range(1, 25))])
@pytest.mark.parametrize("seed", [1, 2, 77])
def test_scene_has_stars_for_the_alignment_and_one_galaxy(ifus: tuple[int, ...], seed: int) -> None:
    sources = scene(NightOptions(ifus=ifus, seed=seed))

    stars = [source for source in sources if not source.lines]
    assert len(sources) - 1 == len(stars)
    assert 5 <= len(stars) <= 75
    for k, one in enumerate(sources):
        for other in sources[k + 1 :]:
            assert math.hypot(one.west - other.west, one.north - other.north) > 3.0


@pytest.mark.parametrize("seed", range(1, 30))
def test_stars_of_two_ifus_stay_five_spaxels_inside_every_dither(seed: int) -> None:
    """The alignment drops stars nearer than five pixels to the edge."""
    options = NightOptions(seed=seed)
    (band,) = bands(options.ifus)
    middle = extent(options.ifus).centre[1]
    reach = max(abs(north) for _, north in DITHERS_ARCSEC) + MAX_ERROR_ARCSEC[1]

    for source in scene(options):
        y = middle + source.north / SPAXEL_ARCSEC
        assert y - reach / SPAXEL_ARCSEC - 5.0 > band[0]
        assert y + reach / SPAXEL_ARCSEC + 5.0 < band[1]


def test_the_seed_decides_the_scene() -> None:
    assert scene(NightOptions(seed=3)) == scene(NightOptions(seed=3, jobs=2, compress="fz"))
    assert scene(NightOptions(seed=3)) != scene(NightOptions(seed=4))


def test_the_galaxy_shines_in_lines_within_the_short_range_of_the_tests() -> None:
    (galaxy,) = [source for source in scene(NightOptions()) if source.lines]
    wave = np.arange(6400.0, 7000.0, 0.5)

    excess = flux_density(galaxy, wave) - galaxy.continuum(wave)

    lines = [line for line in galaxy.lines if 6400.0 < line.wavelength_a < 7000.0]
    assert len(lines) >= 3
    assert sum(line.flux for line in lines) == pytest.approx(excess.sum() * 0.5, rel=1e-3)


def test_a_star_of_magnitude_zero_has_the_flux_of_vega() -> None:
    star = Source("star", 0.0, 0.0, 0.0, 9600.0)

    assert pytest.approx(float(star.continuum(np.array([5500.0]))[0])) == 3.63e-9
    assert standard_star().v_mag < 13.0


@lru_cache(maxsize=32)
def tables(mode: str, tag: str) -> Light:
    options = NightOptions(ifus=(1,), exposures=1, modes=(mode,))
    exposure = next(e for e in night(options) if e.tag == tag and e.lamp in ("", "Ne"))
    light = light_of(exposure, options)
    assert light is not None
    return light


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("tag", ["FLAT", "ARC", "SKYFLAT", "STD"])
def test_a_notch_filter_takes_the_light_of_its_range_and_of_no_other(name: str, tag: str) -> None:
    """The range is that which the recipes mask."""
    mode, plain = MODES[name], "WFM-NOAO-N" if MODES[name].field == WIDE else ""
    light = tables(name, tag)
    if mode.notch_a is None:
        assert spectra.notch(mode) is None
        return
    low, high = mode.notch_a
    wave = grid()
    inside, outside = (wave > low + 20) & (wave < high - 20), (wave < low) | (wave > high)
    is_notched = tag not in ("FLAT", "ARC") or mode.is_notch_in_lamps

    all_light = [light.uniform, *(source.table for source in light.sources)]

    for table in all_light:
        level = np.abs(table[outside & (wave > low - 300) & (wave < high + 300)]).max()
        assert (table[inside].max() < 0.01 * level) == is_notched
    if plain and tag in ("FLAT", "ARC", "SKYFLAT"):
        np.testing.assert_array_equal(light.uniform[outside], tables(plain, tag).uniform[outside])


@pytest.mark.parametrize("name", MODES)
def test_laser_light_shines_on_the_sky_of_ao_modes_alone(name: str) -> None:
    assert (tables(name, "SKY").laser is not None) == MODES[name].has_lasers
    assert tables(name, "FLAT").laser is None
    assert tables(name, "SKYFLAT").laser is None


def test_the_narrow_field_sees_less_sky_and_as_much_of_a_star() -> None:
    wide, narrow = tables("WFM-AO-N", "STD"), tables("NFM-AO-N", "STD")
    at = int(np.argmin(np.abs(grid() - 7000.0)))

    assert narrow.uniform[at] == pytest.approx(wide.uniform[at] / 64, rel=0.02)
    assert narrow.sources[0].table[at] == pytest.approx(wide.sources[0].table[at], rel=0.01)
    np.testing.assert_allclose(narrow.sources[0].spread, wide.sources[0].spread)
    assert narrow.sources[0].x == pytest.approx(wide.sources[0].x)


def test_the_narrow_field_corrects_the_refraction_of_the_air() -> None:
    assert tables("NFM-AO-N", "OBJECT").airmass == 1.0
    assert tables("WFM-AO-N", "OBJECT").airmass > 1.0
