"""Recipes of our own: what stands for their image, and the program that runs them."""

import io
import subprocess
import sys
import tokenize
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline.reference
from pipeline.environment import environment, own_environment
from pipeline.errors import Exit, LibraryMissing
from pipeline.image import ImageLibrary
from pipeline.own import environment as module
from pipeline.own.environment import as_recorded, bill, digest_of, own_image
from pipeline.own.program import run
from pipeline.own.table import OWN, OwnRecipe
from pipeline.parameters import effective
from pipeline.recipes import RECIPES
from provenance.store import Store


def test_every_recipe_of_ours_has_its_row_and_the_reverse() -> None:
    assert OWN.keys() == {row.name for row in RECIPES.values() if row.is_ours}


@pytest.mark.parametrize("recipe", OWN)
def test_defaults_are_values_that_the_recipe_takes(recipe: str) -> None:
    known = OWN[recipe].parameters
    told = effective(recipe, known, tuple((p.option, p.value) for p in known))

    assert told.options == ()


def test_the_bill_holds_the_exact_versions() -> None:
    found = {package.name: package.version for package in bill("clio_align")}

    assert found["scipy"] == version("scipy")
    assert found["python"].endswith(sys.version.split()[0])


@given(st.permutations(bill("clio_align")), st.integers(0, len(bill("clio_align")) - 1))
def test_the_digest_depends_on_every_version_and_on_no_order(order: list[object], number: int) -> None:
    """Promise 3."""
    packages = bill("clio_align")
    other = [replace(p, version="0") if n == number else p for n, p in enumerate(packages)]

    assert digest_of(order) == own_image("clio_align").config_digest  # type: ignore[arg-type]
    assert digest_of(other) != digest_of(packages)


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = OwnRecipe("clio_strange", "m:f", ("numpy", "no-such-library"), ())
    monkeypatch.setitem(OWN, recipe.name, recipe)

    with pytest.raises(LibraryMissing) as caught:
        module.bill.__wrapped__("clio_strange")
    assert caught.value.message == "clio_strange computes with no-such-library, which is not installed"
    assert caught.value.hint == "install what it needs: pip install 'clio-muse[align]'"
    assert caught.value.exit_code is Exit.ENGINE


def test_other_versions_than_recorded_are_refused_by_name(tmp_path: Path) -> None:
    old = [replace(p, version="0.1") if p.name == "scipy" else p for p in bill("clio_align")]
    with Store.open(tmp_path / "store", create=True) as store:
        body = {"digest": digest_of(old), "packages": {p.name: p.version for p in old}}
        store.statement("environment", body)
        with pytest.raises(LibraryMissing, match=r"clio_align ran with scipy 0\.1, and here are others"):
            as_recorded("clio_align", digest_of(old), store)

        assert as_recorded("clio_align", own_image("clio_align").config_digest, store)


def test_the_library_of_images_knows_the_environment(tmp_path: Path) -> None:
    library = ImageLibrary(tmp_path)
    image = own_image("clio_align")

    assert library.find(image.config_digest) == image
    assert library.packages(image) == bill("clio_align")
    assert library.recipes(image, None) == (("clio_align", ""),)  # type: ignore[arg-type]
    assert library.parameters(image, None, "clio_align") == OWN["clio_align"].parameters  # type: ignore[arg-type]


def test_its_environment_is_that_of_recipes_with_one_thread_for_all_that_computes() -> None:
    ours = dict(own_environment("pinned", "linux/amd64"))

    assert dict(environment(1, "pinned", "linux/amd64")).items() <= ours.items()
    assert (ours["OPENBLAS_NUM_THREADS"], ours["PYTHONHASHSEED"]) == ("1", "0")
    assert "OPENBLAS_CORETYPE" not in dict(own_environment("native", "linux/amd64"))


# The program


def called(folder: Path, monkeypatch: pytest.MonkeyPatch, *frames: str) -> tuple[int, str]:
    """Run clio_align on frames that are none; gives its status and its log."""
    monkeypatch.chdir(folder)
    for name in frames:
        (folder / name).write_bytes(b"no FITS file")
    (folder / "in.sof").write_text("".join(f"/{name} IMAGE_FOV\n" for name in frames))
    options = ("--log-file=log", "--products-sof=list.json", "clio_align", "--search=3", "/in.sof")
    return run((*options, f"--root={folder}")), (folder / "log").read_text()


def test_what_it_cannot_read_ends_with_a_log_and_no_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, log = called(tmp_path, monkeypatch, "a.fits")

    assert status != 0
    assert "[ ERROR ]" in log
    assert (tmp_path / "list.json").read_text() == "[]"


COMPUTES = (
    *("fit", "flux", "image", "match", "measure", "measured", "offsets", "recipe", "sheet"),
    "../own/program",
)
"""Modules of our own recipe, in `pipeline/reference`; `test_nothing_else_computes` keeps the list whole."""

SPECS = {"clio_align": 1, "clio_offsets": 1}
CODE = "26c5b3bf48ff2a32ba41ddc8bcbc2aa5d173640815d3200345e51ae8c256fb3c"
"""Digest of the code behind these, without comments, docstrings and layout."""


def test_promise_3_whoever_changes_what_is_computed_raises_the_spec() -> None:
    """Else results of the code before would be believed as results of this one.

    If a number changes, raise `spec` of the recipe in `pipeline/recipes.py` and here. If none does, it stays.
    Either way the new digest goes above.
    """
    folder = Path(pipeline.reference.__file__).parent
    code = "\n".join(_bare((folder / f"{name}.py").read_text(encoding="utf-8")) for name in COMPUTES)

    assert {name: RECIPES[name].spec for name in OWN} == SPECS
    assert sha256(code.encode()).hexdigest() == CODE


def test_nothing_else_computes() -> None:
    """What a recipe of our own imports is in the list above, or in what all commands share."""
    script = "import sys, pipeline.reference.recipe; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = {name for name in told.stdout.split() if name.startswith("pipeline.reference.")}

    assert {name.rpartition(".")[2] for name in ours} == set(COMPUTES[:-1])


def _bare(source: str) -> str:
    """Leave out of a module what computes nothing: comments, docstrings, layout."""
    layout = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: ";"}
    kept = [";"]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_docstring = token.type == tokenize.STRING and kept[-1] in layout.values()
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER) and not is_docstring:
            kept.append(layout.get(token.type, token.string))
    return "".join(kept)
