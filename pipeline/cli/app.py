"""The command `clio`: puts its verbs together, turns failures into sentences and exit codes."""

import contextlib
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from pipeline.cli.groups import LazyGroup
from pipeline.cli.output import OUTPUT, print_error
from pipeline.errors import Exit, Interrupted, PipelineError, refusal

app = typer.Typer(
    name="clio",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes longer to import than all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reduce MUSE data with ESO's own recipes in a pinned image, remember how every product was made, "
    "and skip what is known.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"clio {version('clio-muse')}")
        raise typer.Exit


@app.callback()
def options(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say the reasons too.")] = False,
    debug: Annotated[bool, typer.Option(help="Show the traceback of a defect.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Set what is said, for all commands."""
    OUTPUT.quiet, OUTPUT.verbose, OUTPUT.debug = quiet, verbose, debug


def main() -> None:
    """Run the command line, and leave with the exit code that tells what happened."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_guarded())


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted("interrupted")


def _guarded() -> int:
    """Run the command; the one place that catches everything."""
    as_json = "--json" in sys.argv
    try:
        app()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except PipelineError as error:
        print_error(type(error).__name__, error.message, error.hint, error.exit_code, as_json=as_json)
        return int(error.exit_code)
    except Exception as error:
        return _unforeseen(error, as_json=as_json)
    return int(Exit.OK)


def _unforeseen(error: Exception, *, as_json: bool) -> int:
    """Report what store or system refuse by its sentence, anything else as a defect of this program."""
    from provenance.errors import AmbiguousReference, ProvenanceError, UnknownReference

    name = type(error).__name__
    if isinstance(error, ProvenanceError):
        code = Exit.USAGE if isinstance(error, UnknownReference | AmbiguousReference) else Exit.STORE
        print_error(name, error.message, error.hint, code, as_json=as_json)
        return int(code)
    if isinstance(error, OSError) and (refused := refusal(error)) is not None and not OUTPUT.debug:
        kind, code = type(refused).__name__, refused.exit_code
        print_error(kind, refused.message, refused.hint, code, as_json=as_json)
        return int(code)
    if OUTPUT.debug:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(BrokenPipeError):
        hint = "run it again with: clio --debug ...; and report what it prints"
        print_error("Defect", f"a defect in clio: {name}: {error}", hint, Exit.DEFECT, as_json=as_json)
    return int(Exit.DEFECT)
