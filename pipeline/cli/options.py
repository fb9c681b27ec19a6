"""Options that many commands share, and what they open."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.places import WORKSPACE, find_workspace

if TYPE_CHECKING:
    from pipeline.reduce import Reduction

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")]
Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-C",
        envvar=WORKSPACE,
        help="The workspace; by default the nearest folder upwards that has a clio.toml.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        envvar="CLIO_ENGINE",
        help="Engine to use: auto, docker, podman, bubblewrap or apptainer.",
        metavar="NAME",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME.PARAMETER=VALUE",
        help="A parameter for this call: of a recipe, or of a stage's call of it.",
    ),
]

Targets = Annotated[
    list[str] | None,
    typer.Option("--target", help="A target; all without. Can be given several times.", metavar="NAME"),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="A dataset; all without. Can be given several times.", metavar="ID"),
]


def open_reduction(workspace: Path | None, engine: str = "") -> "Reduction":
    """Open the workspace for work."""
    from pipeline.reduce import Reduction

    return Reduction.open(find_workspace(workspace), engine=engine)
