"""Frames packed in every way archives know, so that tests need no program for it but the one that unpacks."""

import gzip
from collections.abc import Callable
from pathlib import Path

CLEAR = 256
_BETWEEN_CLEARS = 247


def compressed(content: bytes) -> bytes:
    """Pack as `compress` does (LZW, `.Z`), into nine bits a byte: the table is cleared before it fills.

    247 literals and a CLEAR are 248 codes of nine bits, 31 whole groups of eight as the format wants them,
    and leave the table short of the code at which ten bits begin.
    """
    import numpy as np

    literals = np.frombuffer(content, "u1").astype("u2")
    padded = np.zeros(-(-len(literals) // _BETWEEN_CLEARS) * _BETWEEN_CLEARS, "u2")
    padded[: len(literals)] = literals
    rows = padded.reshape(-1, _BETWEEN_CLEARS)
    codes = np.hstack([rows, np.full((len(rows), 1), CLEAR, "u2")]).ravel()
    codes = codes[: len(literals) + len(literals) // _BETWEEN_CLEARS]
    bits = (codes[:, None] >> np.arange(9, dtype="u2")) & 1
    return b"\x1f\x9d\x90" + np.packbits(bits.astype("u1"), bitorder="little").tobytes()


def tiled(path: Path, packed: Path, *, sums: bool = False) -> None:
    """Compress the images of a file by tiles, the rest left alone; with sums in every HDU as `fpack` does."""
    from astropy.io import fits

    with (
        fits.conf.set_temp("extension_name_case_sensitive", True),
        fits.open(path, uint=True, do_not_scale_image_data=False) as plain,
    ):
        hdus = [
            fits.CompImageHDU(hdu.data, hdu.header, compression_type="RICE_1")
            if hdu.header["NAXIS"] == 2 and hdu.is_image
            else hdu.copy()
            for hdu in plain
        ]
        fits.HDUList(hdus).writeto(packed, checksum=sums)


def _by_gzip(path: Path, packed: Path) -> None:
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))


def _by_compress(path: Path, packed: Path) -> None:
    packed.write_bytes(compressed(path.read_bytes()))


def _as_fpack(path: Path, packed: Path) -> None:
    tiled(path, packed, sums=True)


def _twice(path: Path, packed: Path) -> None:
    tiles = packed.with_name(f"{packed.name}.part")
    tiled(path, tiles)
    _by_gzip(tiles, packed)
    tiles.unlink()


PACKINGS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "gzip": (".fits.gz", _by_gzip),
    "compress": (".fits.Z", _by_compress),
    "tiles": (".fits.fz", tiled),
    "tiles, with sums": (".fits.fz", _as_fpack),
    "tiles, then gzip": (".fits.gz", _twice),
}
"""By name: suffix, and what packs a file."""


def pack(path: Path, how: str) -> Path:
    """Pack a file in place; gives the new one."""
    suffix, packer = PACKINGS[how]
    packed = path.with_name(path.name.removesuffix(".fits") + suffix)
    packer(path, packed)
    path.unlink()
    return packed
