"""The clock, the numerics and the threads of a run, in the real image: what the environment asks for happens.

glibc passes over tunables it does not know in silence, so they are shown to bite. The recipe is
muse_exp_align: it takes a tenth of a second, writes tables of doubles, and its Fourier transforms call sine
and cosine.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pipeline.emulator import look
from pipeline.engine import USUAL, Engine, EngineRequest, RecipeImage
from pipeline.environment import KEPT_MEMORY, PINNED, clock_environment, environment
from pipeline.execute import Call, Ran, StagedInput, execute
from pipeline.fitsdigest import digest_file

AT = datetime(2023, 2, 25, 12, 0, 1, tzinfo=UTC)

Align = Callable[..., Ran]


def inside(
    engine: Engine, image: RecipeImage, out: Path, variables: dict[str, str], script: str
) -> tuple[str, ...]:
    """Run a shell script in the image; give the lines of what it wrote to `said`."""
    out.mkdir(exist_ok=True)
    request = EngineRequest(
        run="numerics",
        store="numerics",
        argv=("/bin/sh", "-c", f"{{ {script} ; }} >said 2>&1"),
        environment=tuple(variables.items()),
        inputs=(),
        out=out,
    )
    result = engine.run(image, request, threading.Event())
    said = tuple((out / "said").read_text(encoding="utf-8").splitlines())
    assert result.exit_status == 0, said
    return said


def variables_of(
    image: RecipeImage, *, threads: int = 1, numerics: str = "pinned", at: datetime | None = AT
) -> dict[str, str]:
    return dict((*environment(threads, numerics, image.platform), *clock_environment(at, image.platform)))


def write_field(path: Path, number: int) -> None:
    """Write an image of 17 stars; its sides, 24 and 303, make FFTW take factors that differ by processor."""
    rows, columns = np.mgrid[:24, :303]
    data = np.random.default_rng(number).normal(100, 1, rows.shape)
    for star in range(17):
        x, y = 10.3 + 16.1 * star + number, 8.4 + 7.7 * (star % 2)
        data += (1900 - 100 * star) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    primary, extension = fits.PrimaryHDU(), fits.ImageHDU(data.astype(">f4"), name="DATA")
    cards = {"INSTRUME": "MUSE", "MJD-OBS": 61056.07 + number / 1000, "EXPTIME": 600.0, "RA": 105.0}
    cards |= {"DATE-OBS": f"2026-01-16T01:4{number}:00", "DEC": -12.5}
    cards |= {"HIERARCH ESO INS MODE": "WFM-NOAO-N", "HIERARCH ESO PRO CATG": "IMAGE_FOV"}
    primary.header.update(cards)
    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 105.0, "CRVAL2": -12.5, "CRPIX1": 152.0}
    sky |= {"CRPIX2": 12.5, "CD1_1": -0.2 / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.2 / 3600}
    sky |= {"CUNIT1": "deg", "CUNIT2": "deg", "BUNIT": "10**(-20)*erg/s/cm**2/Angstrom"}
    extension.header.update(sky)
    fits.HDUList([primary, extension]).writeto(path)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> tuple[StagedInput, ...]:
    """Two images of a field, to be aligned."""
    folder = tmp_path_factory.mktemp("fields")
    staged = []
    for number in (1, 2):
        path = folder / f"field-{number}.fits"
        write_field(path, number)
        found = digest_file(path)
        size = path.stat().st_size
        staged.append(StagedInput("IMAGE_FOV", path.name, path, found.digest, found.data_digest, size))
    return tuple(staged)


@pytest.fixture
def align(
    fields: tuple[StagedInput, ...], open_bubblewrap: Engine, image: RecipeImage, tmp_path: Path
) -> Align:
    """Align the two images."""

    def run(numerics: str = "pinned", *, frozen: bool = True, at: datetime | None = AT) -> Ran:
        work = tmp_path / f"{numerics}-{frozen}"
        (work / "in").mkdir(parents=True)
        (work / "out").mkdir()
        call = Call(
            run="numerics",
            store="numerics",
            recipe="muse_exp_align",
            options=(("srcmin", "3"), ("threshold", "10")),
            environment=environment(1, numerics, image.platform),
            inputs=fields,
            is_clock_frozen=frozen,
            clock=at,
        )
        ran = execute(call, work, open_bubblewrap, image, threading.Event())
        assert (ran.result.exit_status, len(ran.products), ran.faults) == (0, 4, ())
        return ran

    return run


def fluxes(ran: Ran) -> np.ndarray:
    """Give the fluxes of the stars that were found in either image."""
    return np.concatenate([fits.getdata(p.path)["Flux"] for p in ran.products if p.tag == "SOURCE_LIST"])


# The clock


def test_a_frozen_clock_stands_for_every_process_while_sleep_goes_on(
    engine: Engine, image: RecipeImage, tmp_path: Path
) -> None:
    """To the nanosecond, whatever started the process; `sleep` ends, as monotonic clocks go on."""
    script = "date +%FT%T.%N%z; sleep 0.2; sh -c 'date +%FT%T.%N%z'; (date +%FT%T.%N%z)"

    said = inside(engine, image, tmp_path / "out", variables_of(image), script)

    assert said == ("2023-02-25T12:00:01.000000000+0000",) * 3


@pytest.mark.bubblewrap
def test_a_real_clock_runs(open_bubblewrap: Engine, image: RecipeImage, tmp_path: Path) -> None:
    variables = variables_of(image, at=None)
    before = datetime.now(UTC)

    said = inside(open_bubblewrap, image, tmp_path / "out", variables, "date +%s.%N; sleep 0.2; date +%s.%N")

    first, second = map(float, said)
    assert before.timestamp() <= first < second - 0.19


@pytest.mark.bubblewrap
def test_products_bear_the_time_at_which_the_clock_stood(align: Align) -> None:
    """DATE, and the comments of the checksums, which CPL dates too."""
    ran = align()

    for product in ran.products:
        with fits.open(product.path) as hdus:
            dates = {hdus[0].header["DATE"], *(h.header.comments["CHECKSUM"].split()[-1] for h in hdus)}
        assert dates == {"2023-02-25T12:00:01"}, product.name
    assert "12:00:01 [" in ran.log


@pytest.mark.bubblewrap
def test_with_a_real_clock_products_bear_the_time_of_day(align: Align) -> None:
    before = datetime.now(UTC).replace(microsecond=0, tzinfo=None)

    ran = align(frozen=False, at=None)

    found = [datetime.fromisoformat(str(dict(p.header)["DATE"])) for p in ran.products]
    assert ran.clock is None
    assert all(before <= date <= before + timedelta(minutes=5) for date in found)


# The numerics


def test_what_is_masked_the_library_of_the_image_knows_and_does_not_use(
    engine: Engine, image: RecipeImage
) -> None:
    """A name that glibc did not know would leave what this processor has in use."""
    masked = {name.strip("-") for name in PINNED[image.platform].partition("=")[2].split(",")}

    pinned = look(engine, image, USUAL, environment(1, "pinned", image.platform))
    native = look(engine, image, USUAL, environment(1, "native", image.platform))

    assert pinned is not None and native is not None
    assert masked >= set(native.used) - {"AVX"}
    assert masked & set(pinned.used) == set()
    assert ("AVX" in pinned.used) == ("AVX" in native.used)  # its variants of functions give the same bits


@pytest.mark.parametrize("name", ["AVX2", "AVX512F", "FMA", "FMA4"])
def test_the_loader_of_the_image_has_each_name_that_is_masked(image: RecipeImage, name: str) -> None:
    """It compares with these very letters; few processors have FMA4, so that one cannot be seen to bite."""
    (loader,) = image.rootfs.glob("usr/lib/*/ld-linux-x86-64.so.2")

    assert name in PINNED[image.platform]
    assert name.encode() in loader.read_bytes()


@pytest.mark.bubblewrap
@pytest.mark.parametrize("numerics", ["pinned", "native"])
def test_the_library_of_the_image_takes_what_it_is_told_of_memory(
    open_bubblewrap: Engine, image: RecipeImage, tmp_path: Path, numerics: str
) -> None:
    """A value that glibc refuses, or a name that it does not know, would be passed over without a word."""
    variables = variables_of(image, numerics=numerics, at=None)

    said = inside(
        open_bubblewrap, image, tmp_path / "out", variables, "/lib64/ld-linux-x86-64.so.2 --list-tunables"
    )

    in_force = {tuple(line.split()[:2]) for line in said}
    wanted = dict(pair.split("=") for pair in KEPT_MEMORY.split(":"))
    assert {(f"{name}:", hex(int(value))) for name, value in wanted.items()} <= in_force


@pytest.mark.bubblewrap
def test_pinned_numerics_bite_in_a_recipe(align: Align, open_bubblewrap: Engine, image: RecipeImage) -> None:
    """On a processor with FMA the last digits differ from native ones; on another there is nothing to pin."""
    native = look(open_bubblewrap, image, USUAL, environment(1, "native", image.platform))
    assert native is not None

    one, other = fluxes(align("pinned")), fluxes(align("native"))

    differ = not np.array_equal(one, other)
    assert differ == ({"FMA", "AVX2"} <= set(native.used))
    np.testing.assert_allclose(one, other, rtol=1e-12)


# The threads


@pytest.mark.bubblewrap
@pytest.mark.parametrize("threads", [1, 3])
def test_openmp_takes_what_it_is_told_and_not_what_the_machine_has(
    threads: int, open_bubblewrap: Engine, image: RecipeImage, tmp_path: Path
) -> None:
    variables = variables_of(image, threads=threads) | {"OMP_DISPLAY_ENV": "TRUE"}

    said = inside(open_bubblewrap, image, tmp_path / "out", variables, "esorex --version")

    told = dict(line.strip().split(" = ") for line in said if line.startswith("  OMP_"))
    assert told["OMP_NUM_THREADS"] == f"'{threads}'"
    assert told["OMP_DYNAMIC"] == "'FALSE'"
    assert told["OMP_WAIT_POLICY"] == "'PASSIVE'"


# What could choose by the machine, and must not be there


def test_no_library_of_the_image_is_there_in_variants_for_processors(image: RecipeImage) -> None:
    """The loader would take them from these folders by what the processor has."""
    assert list(image.rootfs.glob("usr/lib/**/glibc-hwcaps")) == []


def test_fourier_transforms_choose_between_two_kinds_of_processors_only(image: RecipeImage) -> None:
    """FFTW asks the processor itself, whatever the C library is told: AVX, as all have since 2011, or not."""
    library = next(image.rootfs.glob("usr/lib/*/libfftw3.so.3")).resolve().read_bytes()

    kinds = [
        kind for kind in (b"sse2", b"avx", b"avx2", b"avx512") if b"fftw_have_simd_" + kind + b"\0" in library
    ]

    assert kinds == [b"sse2", b"avx"]
