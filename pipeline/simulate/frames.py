"""Raw frames: one FITS file an exposure, as the archive delivers it, the same bytes every time."""

from pathlib import Path
from typing import Any

from astropy.io import fits

from pipeline.replacing import replacing
from pipeline.simulate.detector import detector, read_out
from pipeline.simulate.headers import Cards, dead_cards, live_cards, primary_cards
from pipeline.simulate.mathematics import random_stream
from pipeline.simulate.night import SimulatedExposure
from pipeline.simulate.options import N_IFUS, NightOptions
from pipeline.simulate.render import electrons, light_of

CHECKSUM_COMMENT = "simulated"
"""Stands where astropy writes the time, which would make every file different."""


def frame_name(exposure: SimulatedExposure, options: NightOptions) -> str:
    """Give the file name of a raw frame; it holds `:`, as those of the archive."""
    return exposure.arcfile + (".fz" if options.compress == "fz" else "")


def write_frame(path: Path, exposure: SimulatedExposure, options: NightOptions) -> None:
    """Simulate an exposure and write its raw frame, whole or not at all."""
    light = light_of(exposure, options)
    hdus: list[Any] = [fits.PrimaryHDU(header=header(primary_cards(exposure)))]
    for ifu in range(1, N_IFUS + 1):
        if ifu not in options.ifus:
            hdus.append(fits.ImageHDU(header=header(dead_cards(ifu))))
            continue
        device = detector(ifu)
        random = random_stream(options.seed, exposure.name, ifu)
        data = read_out(electrons(exposure, light, ifu), device, random)
        cards = header(live_cards(exposure, device))
        if options.compress == "fz":
            hdus.append(fits.CompImageHDU(data, cards, compression_type="RICE_1"))
        else:
            hdus.append(fits.ImageHDU(data, cards))
    write_hdus(path, hdus)


def header(cards: Cards) -> fits.Header:
    """Turn cards into a FITS header."""
    result = fits.Header()
    for keyword, value, comment in cards:
        name = f"HIERARCH {keyword}" if " " in keyword else keyword
        result[name] = (value, comment)
    return result


def write_hdus(path: Path, hdus: list[Any]) -> None:
    """Write HDUs with checksums beside the final name, then rename."""
    with replacing(path) as aside, fits.conf.set_temp("extension_name_case_sensitive", True):
        whole = fits.HDUList(hdus)
        whole.update_extend()  # or writing adds EXTEND, after the checksum
        for hdu in whole:
            hdu.add_checksum(when=CHECKSUM_COMMENT)
        whole.writeto(aside, overwrite=True)
