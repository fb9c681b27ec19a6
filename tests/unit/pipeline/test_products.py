"""What a product says of itself."""

from pathlib import Path

from builders import image, primary, sealed, table

from pipeline.fitsdigest import digest_file
from pipeline.fitsfile import Header
from pipeline.products import UsedFrame, filter_of, read_product, used_frames


def test_a_product_has_digests_and_quality_figures_of_all_its_headers(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    head = primary({"ESO QC BIAS LEVEL": 1.5, "ESO QC NAME": "x", "OBJECT": "y"})
    path.write_bytes(sealed(head) + sealed(image("CHAN01", [1], {"ESO QC BIAS LEVEL": 9.0, "ESO QC RON": 2})))

    found = read_product(path, "MASTER_BIAS")

    assert (found.tag, found.name) == ("MASTER_BIAS", "a.fits")
    assert dict(found.qc) == {"ESO QC BIAS LEVEL": "1.5", "ESO QC NAME": "x", "ESO QC RON": "2"}
    assert found.digests == digest_file(path, verify=True)


def test_the_frames_of_the_last_call_of_a_recipe_are_read() -> None:
    header: Header = {
        "ESO PRO REC1 ID": "muse_scibasic",
        "ESO PRO REC1 RAW1 NAME": "MUSE.fits",
        "ESO PRO REC1 RAW1 CATG": "OBJECT",
        "ESO PRO REC2 ID": "muse_scipost",
        "ESO PRO REC2 RAW1 NAME": "PIX.fits",
        "ESO PRO REC2 RAW1 CATG": "PIXTABLE_OBJECT",
        "ESO PRO REC2 CAL1 NAME": "EXT.fits",
        "ESO PRO REC2 CAL1 CATG": "EXTINCT_TABLE",
        "ESO PRO REC2 CAL1 DATAMD5": "0",
        "ESO PRO REC2 PARAM1 NAME": "save",
    }

    assert used_frames(header, "muse_scipost") == (
        UsedFrame("EXT.fits", "EXTINCT_TABLE", is_raw=False),
        UsedFrame("PIX.fits", "PIXTABLE_OBJECT", is_raw=True),
    )
    assert used_frames(header, "muse_scibasic") == (UsedFrame("MUSE.fits", "OBJECT", is_raw=True),)
    assert used_frames(header, "muse_bias") == ()


def test_an_image_names_its_filter(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary({"ESO DRS MUSE FILTER NAME": "Cousins_R"}) + table("X", {"x": [1.0]}))
    other = tmp_path / "b.fits"
    other.write_bytes(primary())

    assert filter_of(read_product(path, "IMAGE_FOV")) == "Cousins_R"
    assert filter_of(read_product(other, "IMAGE_FOV")) == ""
