"""The verbs about recipe images: `clio image build`, `list`, `show`, `verify`, `import`, `export`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.groups import Group
from pipeline.cli.options import Engine, Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.errors import ConfigError, Exit, ImageError, UsageError
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from pipeline.config import Settings
    from pipeline.engine import RecipeImage
    from pipeline.image import ImageLibrary, Package

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Build, list, verify, import an image of ESO's recipes; known by its digest, never by a tag.",
)

Digest = Annotated[
    str,
    typer.Argument(
        help="`sha256:...`, or its first 8 digits or more; by default the image of the workspace, "
        "else the only one there is.",
        show_default=False,
    ),
]


def add_to(parent: typer.Typer) -> None:
    """Add the verbs of this module, under one name."""
    parent.add_typer(app, name="image")


@app.command()
def build(
    update_lock: Annotated[
        bool,
        typer.Option("--update-lock", help="Take the packages of today and pin them; results may differ."),
    ] = False,
    mirror: Annotated[
        str, typer.Option(help="A mirror of Debian, or the path of a sources.list.", metavar="ADDRESS|PATH")
    ] = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Build the recipe image from Debian's packages: the same bytes wherever and whenever.

    In a workspace, the packages are those that clio.lock pins; the first build pins them.

    Example: `clio image build`
    """
    from pipeline.image import ImageLibrary
    from pipeline.lock import pin_image, read_lock

    settings = settings_here(workspace)
    if settings is None and update_lock:
        raise UsageError(
            "there is no workspace here whose lock could be updated", "go into one, or name it: -C"
        )
    lock = read_lock(settings.lock) if settings else None
    with _building() as progress:
        image = ImageLibrary().build(
            expect=lock.image if lock else None,
            update_lock=update_lock,
            mirror=mirror or None,
            progress=progress,
        )
    if settings and (lock is None or update_lock):
        pin_image(settings.lock, image)
        OUTPUT.say(f"pinned in {settings.lock}")
    elif lock is not None:
        OUTPUT.say("it is the image that the lock names, to the byte")
    _print_image(image, as_json)


@app.command("list")
def list_images(as_json: Json = False) -> None:
    """List the images on this machine.

    Example: `clio image list`
    """
    from pipeline.image import ImageLibrary

    library = ImageLibrary()
    images = library.list()
    packages = {image.config_digest: library.packages(image) for image in images}
    if as_json:
        rows = [_image_row(image) | {"packages": len(packages[image.config_digest])} for image in images]
        OUTPUT.document("clio-image-list/1", {"images": rows})
        return
    if not images:
        OUTPUT.say(f"no images in {library.root}; build one with: clio image build")
        return
    OUTPUT.table(
        ("digest", "platform", "recipes from"),
        ((i.config_digest, i.platform, _source(packages[i.config_digest])) for i in images),
    )


@app.command()
def show(
    digest: Digest = "",
    engine: Engine = "auto",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show an image: its digest, platform, packages and recipes, each with its version.

    Example: `clio image show`
    """
    from dataclasses import asdict

    from pipeline.engines import open_engine
    from pipeline.engines.deferred import DeferredEngine
    from pipeline.image import ImageLibrary

    library = ImageLibrary()
    image = choose_image(library, digest, workspace)
    packages = library.packages(image)
    # An image is asked for its recipes once; from then on no engine is needed.
    recipes = library.recipes(image, DeferredEngine(lambda: open_engine(engine)))
    if as_json:
        listed = [{"name": name, "version": version} for name, version in recipes]
        body = _image_row(image) | {"packages": [asdict(p) for p in packages], "recipes": listed}
        OUTPUT.document("clio-image/1", body)
        return
    OUTPUT.line(f"image     {image.config_digest}\nplatform  {image.platform}\narchive   {image.archive}")
    OUTPUT.table(("recipe", "version"), recipes)
    OUTPUT.table(("package", "version", "sha256"), ((p.name, p.version, p.sha256[:12]) for p in packages))


@app.command()
def verify(digest: Digest = "", workspace: Workspace = None, as_json: Json = False) -> None:
    """Read an image whole and say what is damaged; leaves with 5 if anything is.

    Example: `clio image verify`
    """
    from pipeline.image import ImageLibrary

    library = ImageLibrary()
    image = choose_image(library, digest, workspace)
    problems = library.verify(image)
    if as_json:
        body = {"digest": image.config_digest, "ok": not problems, "problems": list(problems)}
        OUTPUT.document("clio-image-verify/1", body)
    else:
        OUTPUT.line("\n".join(problems) or f"ok: {image.config_digest}")
    if problems:
        raise typer.Exit(int(Exit.ENGINE))


@app.command("import")
def import_image(
    archive: Annotated[
        str,
        typer.Argument(
            help="An image archive (`docker save`, `podman save`, `clio image export`), or a root file "
            "system as a tar file (`docker export`). A reference by digest finds what is here already.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Take in an image; its digest is computed from what is in it, and every layer is checked.

    Example: `clio image import recipes.tar`
    """
    from pipeline.image import ImageLibrary, parse_reference

    library, path = ImageLibrary(), Path(archive)
    if path.is_file():
        is_image = _is_image_archive(path)
        image = library.add_archive(path) if is_image else library.add_rootfs(path)
    elif _looks_like_path(archive):
        raise UsageError(
            f"there is no file {archive}", "write an archive with `docker save` or `podman save`"
        )
    else:
        image = library.find(parse_reference(archive))
    _print_image(image, as_json)


@app.command("export")
def export_image(
    archive: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    digest: Digest = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Write an image as an archive that Docker, Podman and `clio image import` read.

    Example: `clio image export recipes.tar`
    """
    from pipeline.image import ImageLibrary

    image = choose_image(ImageLibrary(), digest, workspace)
    _copy_new(image.archive, archive)
    OUTPUT.say(f"written to {archive}")
    _print_image(image, as_json)


def settings_here(workspace: Path | None) -> "Settings | None":
    """Read the settings of the workspace; None where there is none and none was named."""
    from pipeline.config import load

    try:
        folder = find_workspace(workspace)
    except ConfigError:
        return None
    return load(folder)


def choose_image(library: "ImageLibrary", digest: str, workspace: Path | None) -> "RecipeImage":
    """Find the image that is meant.

    Raises
    ------
    UsageError
        A tag, too few digits, or nothing that says which of several.
    ImageError
        It is not here.
    """
    from pipeline.lock import read_lock

    if digest:
        return library.find(_whole(library, digest))
    settings = settings_here(workspace)
    lock = read_lock(settings.lock) if settings else None
    if settings and settings.table.image.reference:
        return library.find(settings.table.image.reference)
    if lock is not None:
        return library.find(lock.config_digest)
    images = library.list()
    if not images:
        raise ImageError("there is no recipe image on this machine", "build one with: clio image build")
    if len(images) > 1:
        names = ", ".join(image.config_digest for image in images)
        raise UsageError(f"there are several images on this machine: {names}", "name one")
    return library.find(images[0].config_digest)


def _whole(library: "ImageLibrary", text: str) -> str:
    """Complete the first digits of a digest; anything else is a reference and must hold a digest."""
    import re

    start = text.removeprefix("sha256:")
    if re.fullmatch(r"[0-9a-f]{8,63}", start) is None:
        return text
    found = [i.config_digest for i in library.list() if i.config_digest.startswith(f"sha256:{start}")]
    if not found:
        raise ImageError(
            f"there is no image {text}... on this machine", "`clio image list` says what there is"
        )
    if len(found) > 1:
        raise UsageError(f"{text} may be any of {', '.join(found)}", "give more digits")
    return found[0]


@contextlib.contextmanager
def _building() -> Iterator[Callable[[str], None]]:
    """Show what mmdebstrap does: its last line to whoever watches, all lines with --verbose."""
    if OUTPUT.verbose or not OUTPUT.shows_progress:
        OUTPUT.say("building the recipe image from Debian's packages; this takes a minute")
        yield (OUTPUT.say if OUTPUT.verbose else lambda line: None)
        return
    from rich.markup import escape

    with OUTPUT.talk.status("building the recipe image") as status:
        yield lambda line: status.update(escape(f"building the recipe image: {line[:60]}"))


def _is_image_archive(path: Path) -> bool:
    """Tell an image archive from the tar file of a root file system."""
    import tarfile

    try:
        with tarfile.open(path, "r:*") as tar:
            return any(m.name.removeprefix("./") in ("manifest.json", "oci-layout") for m in tar)
    except (tarfile.TarError, EOFError):
        return True  # what is wrong with it, the one who reads archives says best


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "/")) or text.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"))


def _copy_new(source: Path, destination: Path) -> None:
    """Copy a file to a name that is free; a copy that fails leaves nothing."""
    import shutil

    try:
        with destination.open("xb") as target:
            try:
                with source.open("rb") as stream:
                    shutil.copyfileobj(stream, target, 1 << 20)
            except BaseException:
                destination.unlink()
                raise
    except FileExistsError as error:
        raise UsageError(f"{destination} is there already", "remove it, or choose another name") from error
    except OSError as error:
        raise UsageError(f"cannot write {destination}: {error.strerror}") from error


def _source(packages: "tuple[Package, ...]") -> str:
    """Name what brings the recipes."""
    named = [f"{p.name} {p.version}" for p in packages if p.name in ("cpl-plugin-muse", "esorex")]
    return ", ".join(named) or "no list of packages"


def _image_row(image: "RecipeImage") -> dict[str, Any]:
    return {
        "digest": image.config_digest,
        "platform": image.platform,
        "archive": str(image.archive),
        "archive_bytes": image.archive.stat().st_size if image.archive.is_file() else None,
    }


def _print_image(image: "RecipeImage", as_json: bool) -> None:
    if as_json:
        OUTPUT.document("clio-image/1", _image_row(image))
    else:
        OUTPUT.line(image.config_digest)
