"""The help: what it lists is what there is, and it imports none of it."""

import re
import subprocess
import sys
from inspect import cleandoc

import pytest
import typer
from conftest import Clio
from typer.main import get_command

from pipeline.cli.app import app
from pipeline.cli.verbs import VERBS, Verb

EVERY = [verb for verbs in VERBS.values() for verb in verbs]
"""Each verb of the table."""


def command(name: str) -> typer.core.TyperCommand | typer.core.TyperGroup:
    """The verb itself."""
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    found = group.get_command(None, name)  # type: ignore[arg-type]  # it is not looked at
    assert isinstance(found, typer.core.TyperCommand | typer.core.TyperGroup)
    return found


@pytest.mark.parametrize("verb", EVERY, ids=lambda verb: verb.name)
def test_the_help_says_of_a_verb_what_the_verb_says_of_itself(verb: Verb) -> None:
    first = cleandoc(command(verb.name).help or "").partition("\n\n")[0]

    assert " ".join(first.split()) == verb.summary


@pytest.mark.parametrize("verb", EVERY, ids=lambda verb: verb.name)
def test_the_help_of_a_verb_has_an_example(verb: Verb) -> None:
    found = command(verb.name)
    leaves = found.commands.values() if isinstance(found, typer.core.TyperGroup) else [found]

    assert [leaf.name for leaf in leaves if not re.search(r"Example: `[^`]*clio ", leaf.help or "")] == []


def test_no_verb_of_a_module_is_left_out_of_the_help() -> None:
    part = typer.Typer()
    for module in {verb.module for verb in EVERY}:
        __import__(f"pipeline.cli.{module}", fromlist=["add_to"]).add_to(part)
    there = typer.main.get_group(part).commands

    assert sorted(there) == sorted(verb.name for verb in EVERY)


def test_the_help_lists_all_under_their_headings(clio: Clio) -> None:
    said = clio("--help").stdout

    for heading, verbs in VERBS.items():
        assert f"\n{heading}:\n" in said
        assert all(f"\n  {verb.name} " in said for verb in verbs)


def test_the_help_of_a_group_says_whole_sentences(clio: Clio) -> None:
    said = " ".join(clio("image", "--help").stdout.split())

    assert "List the images on this machine." in said
    assert "Build the recipe image from Debian's packages: the same bytes wherever and whenever." in said


def test_a_slip_of_the_finger_is_told_the_nearest_verb(clio: Clio) -> None:
    result = clio("statsu")

    assert result.exit_code == 2
    assert "No such command 'statsu'. Did you mean 'status'?" in result.stderr


def test_the_help_imports_neither_a_verb_nor_what_draws_tables() -> None:
    script = """
import sys
from pipeline.cli.start import main

sys.argv = ["clio", "--help"]
try:
    main()
except SystemExit:
    print(sorted(name for name in sys.modules if name.startswith(("pipeline.cli.", "rich"))))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    needed = ["app", "groups", "output", "start", "verbs"]
    assert told.stdout.splitlines()[-1] == repr([f"pipeline.cli.{name}" for name in needed])
