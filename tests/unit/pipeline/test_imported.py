"""Settings of pymusepipe and musered: what is carried over, to what, what is not, and why, by line."""

import tomllib
from pathlib import Path

import pytest
from fakes import parameters_of

from pipeline.config import check_document
from pipeline.config_text import write_commented
from pipeline.errors import ConfigError, Exit
from pipeline.from_musered import from_musered
from pipeline.from_pymusepipe import from_pymusepipe
from pipeline.imported import Imported, Outcome, filled

RC = """\
# where things are
musecalib cal/
% another remark

root my data
str_dataset OB
  ndigits   3
rootfolder /nowhere
"""

TABLES = """\
geo_table geometry_table_wfm.fits
astro_table astrometry_wcs_wfm.fits
badpix_table badpix_table.fits
sky_lines more/sky_lines.fits
"""


def pymusepipe(folder: Path, rc: str = RC, tables: str = TABLES) -> Imported:
    files = (folder / "rc.dic", folder / "calib_tables.dic")
    for file, text in zip(files, (rc, tables), strict=True):
        file.write_text(text)
    into = Imported(folder / "ws", parameters_of)
    from_pymusepipe(files, into, folder)
    return into


def musered(folder: Path, text: str, *, asks: bool = True) -> Imported:
    (folder / "settings.yml").write_text(text)
    into = Imported(folder, parameters_of if asks else None)
    from_musered(folder / "settings.yml", into)
    return into


def outcomes(into: Imported) -> dict[str, tuple[Outcome, str]]:
    return {line.key: (line.outcome, line.to) for line in into.lines}


def test_every_line_of_pymusepipe_is_told_and_what_can_be_is_carried_over(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "my data" / "NGC1" / f"OB00{number}" / "Raw").mkdir(parents=True)

    into = pymusepipe(tmp_path)

    assert into.document == {
        "data": {
            "raw": [str(tmp_path / "my data" / "NGC1" / f"OB00{n}" / "Raw") for n in (1, 2)],
            "calib": [str(tmp_path / "cal")],
        },
        "associate": {
            "GEOMETRY_TABLE": {"use": "geometry_table_wfm.fits"},
            "ASTROMETRY_WCS": {"use": "astrometry_wcs_wfm.fits"},
            "BADPIX_TABLE": {"use": "badpix_table.fits"},
            "SKY_LINES": {"use": str(tmp_path / "cal" / "more" / "sky_lines.fits")},
        },
    }
    assert [(line.file.name, line.number, line.key) for line in into.lines] == [
        *(("rc.dic", n, key) for n, key in ((2, "musecalib"), (5, "root"), (6, "str_dataset"))),
        *(("rc.dic", n, key) for n, key in ((7, "ndigits"), (8, "rootfolder"))),
        *(
            ("calib_tables.dic", n, key)
            for n, key in enumerate(("geo_table", "astro_table", "badpix_table", "sky_lines"), 1)
        ),
    ]
    assert outcomes(into)["rootfolder"] == (Outcome.LEFT, "")
    assert into.lines[4].why == "pymusepipe has no such setting; did you mean root?"


def test_geometry_by_date_stays_by_date_and_what_is_missing_is_said(tmp_path: Path) -> None:
    into = pymusepipe(tmp_path, rc="musecalib_time astrocal\n")

    assert into.document["data"] == {"calib": [str(tmp_path / "astrocal")]}
    assert outcomes(into)["geo_table"] == (Outcome.DEFAULT, "")
    assert "GEOMETRY_TABLE" not in into.document["associate"]
    assert [remark.partition(" ")[0] for remark in into.remarks] == ["root", "musecalib"]


@pytest.mark.parametrize(
    ("rc", "message"),
    [
        ("musecalib cal\n\nroot\n", "line 3: root has no value"),
        ("root /data\n=x y\n", "line 2: '=x' is no key"),
        ("\nroot = /data\n", "line 2: pymusepipe would take the = of root for part of its value"),
        ("root /a\nroot /b\n", "line 2: root stands there twice, first in rc.dic, line 1"),
    ],
    ids=["value", "key", "equals", "twice"],
)
def test_f26_a_line_that_cannot_be_read_is_said_with_file_and_line(
    tmp_path: Path, rc: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        pymusepipe(tmp_path, rc=rc)

    assert caught.value.message == f"{tmp_path / 'rc.dic'}, {message}"
    assert caught.value.exit_code is Exit.USAGE


def test_f26_a_file_that_is_missing_or_of_something_else_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none.dic: no such file"):
        from_pymusepipe((tmp_path / "none.dic",), Imported(tmp_path), tmp_path)
    (tmp_path / "x").write_text("some words\n")
    with pytest.raises(ConfigError, match="no line is a setting of pymusepipe"):
        from_pymusepipe((tmp_path / "x",), Imported(tmp_path), tmp_path)


SETTINGS = """\
workdir: /data
version: '0.1'
raw_path: '{workdir}/raw/{version}'
muse_calib_path: calib
datasets:
  IC4406:
    archive_filter: {obs_targ_name: IC 4406, stime: 2017-06-01}
  HDFS:
static_calib:
  BADPIX_TABLE:
    new.fits: {start_date: 2015-05-11}
    old.fits: {start_date: 2014-09-17, end_date: 2015-05-10}
  ASTROMETRY_WCS: {wcs.fits: }
  SOMETHING: x.fits
recipes:
  muse_flat:
    frames: {exclude: [MASTER_DARK]}
    params: {order: 7, nifu: 3, nosuch: 1, nsum: [1, 2]}
  muse_bias:
    frames: {include: [MASTER_DARK, BADPIX_TABLE]}
  muse_scipost_rec:
    params: {filter: white, save: cube, skymethod: none}
  muse_scipost:
    OFFSET_LIST: drs
    params: {save: [cube, individual], lambdamin: 4750}
  muse_exp_align: {method: imphot, params: {srcmin: 4}}
  muse_zap: {method: median}
strange: 1
"""


def test_every_line_of_musered_is_told_and_what_can_be_is_carried_over(tmp_path: Path) -> None:
    into = musered(tmp_path, SETTINGS)

    assert into.document == {
        "data": {"raw": ["/data/raw/0.1"], "calib": ["calib"]},
        "targets": {"IC4406": {"match": ["IC 4406"]}, "HDFS": {"match": ["HDFS"]}},
        "associate": {"ASTROMETRY_WCS": {"use": "wcs.fits"}},
        "recipes": {
            "muse_flat": {"order": 7},
            "muse_scipost": {"save": "cube,individual", "lambdamin": 4750},
        },
        "workflow": {"dark": True, "filter_for_alignment": "white"},
        "override": [{"where": {"stage": "prep_align"}, "recipes": {"muse_scipost": {"skymethod": "none"}}}],
    }
    left = {
        line.key.removeprefix("recipes."): line.why for line in into.lines if line.outcome is Outcome.LEFT
    }
    assert left == {
        "workdir": "used in the paths of the other lines",
        "version": "what was reduced how is in the records",
        "datasets.IC4406.archive_filter.stime": (
            "it selects in the archive; here, what lies in the folders is taken"
        ),
        "static_calib.SOMETHING": "no recipe of Clio's stages takes SOMETHING",
        "muse_flat.params.nifu": "muse_flat.nifu is set by clio, step by step",
        "muse_flat.params.nosuch": "muse_flat has no parameter nosuch",
        "muse_flat.params.nsum": "muse_flat.nsum = '1,2', expected int",
        "muse_bias.frames.include": "the workflow says which tags a recipe gets",
        "muse_scipost_rec.params.save": "save of prep_align is set by the workflow",
        "muse_exp_align": "another program aligns there; see the alignment with a reference image",
        "muse_zap": "no stage of Clio calls muse_zap",
        "strange": "musered's documentation has no such setting",
    }
    lines = SETTINGS.splitlines()
    for line in into.lines:
        assert line.key.rpartition(".")[2] in lines[line.number - 1] or line.key.endswith(".fits")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2\n", "line 2: not YAML: "),
        ("- 1\n", "line 1: no settings of musered"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: not YAML: "),
        ("just words\n", "line 1: no settings of musered"),
    ],
    ids=["broken", "list", "unsafe", "text"],
)
def test_f26_what_is_no_settings_of_musered_is_said_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        musered(tmp_path, text)

    assert f", {message}" in caught.value.message


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    levels = ["a0: &a0 {x: 1, y: 2}"]
    levels += [f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(9))}}}" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="more than 5000 keys"):
        musered(tmp_path, "\n".join(levels))


def test_names_that_name_each_other_end() -> None:
    assert len(filled("{a}", {"a": "{b}{b}", "b": "{a}{a}"})) < 100_000


@pytest.mark.parametrize("asks", [True, False], ids=["image", "no-image"])
def test_what_is_written_is_right(tmp_path: Path, asks: bool) -> None:
    for into in (musered(tmp_path, SETTINGS, asks=asks), pymusepipe(tmp_path)):
        text = write_commented(into.document)
        table, slips = check_document(text, tomllib.loads(text))

        assert slips == ()
        assert table is not None
        found = table.model_dump(mode="json", exclude_unset=True)
        assert {name: part for name, part in found.items() if part} == into.document
