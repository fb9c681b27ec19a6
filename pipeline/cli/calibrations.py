"""The doctor of the data: `calibrations`."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.errors import AssociationError, UsageError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from pipeline.archive import Search
    from pipeline.calibrations import Need, Sheet

WIDTH = 80
"""Columns that what is printed has to fit."""


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(calibrations)


def calibrations(
    exposures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPOSURE]...",
            help="By DATE-OBS or its beginning, file, ARCFILE or template start; * fits anything.",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also templates of calibration frames.")] = False,
    short: Annotated[bool, typer.Option("--short", help="One line an exposure.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say for each exposure which calibrations it needs, which are chosen and why, and what is missing.

    Needs raw frames only: no image, no engine; nothing runs. Without names: all OBJECT, SKY and STD
    exposures, and templates of calibration frames in which something is missing. Ends with 3 if something is
    missing that an exposure cannot be reduced without.

    Example: `clio calibrations 2026-01-16T01`
    """
    from pipeline.calibrations import searches

    with open_reduction(workspace) as reduction:
        everything = reduction.calibrations()
    shown = _selected(everything, exposures or [], every=every)
    wanted = searches(shown, everything)
    if as_json:
        OUTPUT.document("clio-calibrations/1", _document(shown, wanted))
    elif short:
        _print_short(shown)
    else:
        for sheet in shown:
            _print_sheet(sheet)
    if wanted and not as_json:
        _print_searches(wanted)
    incomplete = [sheet for sheet in shown if not sheet.is_complete]
    if incomplete:
        raise _incomplete(incomplete, len(shown))


def _incomplete(sheets: "Sequence[Sheet]", total: int) -> AssociationError:
    first = sheets[0]
    why = f"no {first.missing[0].tag}" if first.missing else first.problems[0]
    what = f"{len(sheets)} of {total} cannot be reduced; the first is {first.frame.tag} {first.name}: {why}"
    hint = "add what is missing, or change the policy in clio.toml: [associate.TAG] window_d, use"
    return AssociationError(what, hint)


def _selected(sheets: "Sequence[Sheet]", names: list[str], *, every: bool) -> "list[Sheet]":
    """Keep the sheets that are asked for.

    Raises
    ------
    UsageError
        A name fits none.
    """
    if not names:
        has_exposures = any(sheet.is_exposure for sheet in sheets)
        return [s for s in sheets if every or s.is_exposure or not s.is_complete or not has_exposures]
    for name in names:
        if not any(_is_called(sheet, name) for sheet in sheets):
            there = ", ".join(sheet.name for sheet in sheets[:6])
            raise UsageError(f"no exposure and no template goes by {name}", f"there are {there}")
    return [sheet for sheet in sheets if any(_is_called(sheet, name) for name in names)]


def _is_called(sheet: "Sheet", name: str) -> bool:
    from fnmatch import fnmatchcase

    known = [sheet.name, *(word for f in sheet.frames for word in (f.arcfile, f.path.name, str(f.path)))]
    return any(fnmatchcase(word, name) for word in known) or (len(name) >= 4 and sheet.name.startswith(name))


# For a person


def _print_sheet(sheet: "Sheet") -> None:
    from rich.text import Text

    frame = sheet.frame
    of = [frame.mode, frame.target if sheet.is_exposure else f"{len(sheet.frames)} frames"]
    OUTPUT.data.print(Text(f"{frame.tag} {sheet.name}", style="bold"), Text("  ".join(filter(None, of))))
    if sheet.needs:
        OUTPUT.data.print(_table(sheet.needs))
    for line in _notes(sheet):
        OUTPUT.data.print(line)
    OUTPUT.line("")


def _table(needs: "Iterable[Need]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for name, width, justify in (
        *(("calibration", 16, "left"), ("chosen", 24, "left"), ("when", 8, "right")),
        *(("dT C", 5, "right"), ("level", 5, "right"), ("next best", 14, "left")),
    ):
        table.add_column(name, max_width=width, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for need in needs:
        found = need.association
        cells = [need.tag, found.chosen, age(found.age_s), _signed(found.warmer_c), str(found.level)]
        if not found.chosen:
            cells = [need.tag, "MISSING" if need.is_missing else "none", "", "", ""]
        following = found.next_best
        best = f"{age(following.age_s) or 'no date'} ({following.level})" if following else ""
        style = _style(need)
        table.add_row(*(Text(cell, style=style if n in (1, 4) else "") for n, cell in enumerate(cells)), best)
    return table


def _style(need: "Need") -> str:
    if need.is_missing:
        return "bold red"
    return "dim" if not need.association.chosen else ("green", "yellow", "red")[need.association.level]


def _notes(sheet: "Sheet") -> "Iterator[Text]":
    """Say what does not fit into a column: interventions, what is missing and what is done without it."""
    from rich.text import Text

    every = max((need.ifus for need in sheet.needs), key=len, default=())
    for need in sheet.needs:
        found = need.association
        of = f" (IFU {_ranges(need.ifus)})" if need.ifus != every else ""
        notes = [f"across the intervention of {one}" for one in found.crossed]
        notes += [found.inconsistent] if found.inconsistent else []
        if not found.chosen:
            nearest = f"nearest: {found.rejected[0]}" if found.rejected else "there is none"
            notes.append(f"{nearest}; done without: {need.rule.without}" if need.rule.without else nearest)
        elif of:
            notes.append(f"{found.chosen}, {found.reason}")
        for note in notes:
            yield Text("\n".join(_wrapped(f"{need.tag}{of}: {note}")), style=_style(need))
    for problem in sheet.problems:
        yield Text("\n".join(_wrapped(problem)), style="bold red")


def _print_short(sheets: "Sequence[Sheet]") -> None:
    from pipeline.calibrations import worst

    rows = []
    for sheet in sheets:
        levels = ", ".join(f"{count} of {level}" for level, count in sorted(worst(sheet).items()))
        lacking = ", ".join(dict.fromkeys(need.tag for need in sheet.missing))
        rows.append((sheet.frame.tag, sheet.name, levels, lacking or ("problem" if sheet.problems else "")))
    OUTPUT.table(("tag", "exposure", "by level", "missing"), rows)


def _print_searches(wanted: "Iterable[Search]") -> None:
    OUTPUT.line("look for in ESO's archive (dates are UTC):")
    for search in wanted:
        also = f" and {len(search.wanted_by) - 1} more" if len(search.wanted_by) > 1 else ""
        text = f"{search.tag} for {search.wanted_by[0]}{also}: {search.in_words()}"
        OUTPUT.line("\n".join(_wrapped(text)))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def age(seconds: int | None) -> str:
    """Write an age with its sign, minus for before the exposure; empty for what has no date.

    Examples
    --------
    >>> age(-42120), age(950400), age(0), age(None)
    ('-11.7 h', '+11.0 d', '0 min', '')
    """
    from pipeline.shelf import in_words

    if seconds is None:
        return ""
    sign = "-" if seconds < 0 else "+" if seconds else ""
    return f"{sign}{in_words(abs(seconds))}"


def _signed(degrees: float | None) -> str:
    return "" if degrees is None else f"{degrees:+.1f}"


def _ranges(ifus: Sequence[int]) -> str:
    """Write numbers as `1-3,7`."""
    parts: list[list[int]] = []
    for ifu in ifus:
        if parts and parts[-1][-1] == ifu - 1:
            parts[-1].append(ifu)
        else:
            parts.append([ifu])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


# For a program


def _document(sheets: "Iterable[Sheet]", wanted: "Iterable[Search]") -> dict[str, Any]:
    return {
        "exposures": [_sheet_document(sheet) for sheet in sheets],
        "searches": [_search_document(search) for search in wanted],
    }


def _sheet_document(sheet: "Sheet") -> dict[str, Any]:
    frame = sheet.frame
    return {
        "name": sheet.name,
        "tag": frame.tag,
        "is_template": not sheet.is_exposure,
        "mode": frame.mode,
        "readout": frame.readout,
        "target": frame.target,
        "block": frame.block,
        "mjd": frame.mjd,
        "is_complete": sheet.is_complete,
        "needs": [_need_document(need) for need in sheet.needs],
        "problems": list(sheet.problems),
    }


def _need_document(need: "Need") -> dict[str, Any]:
    found, following = need.association, need.association.next_best
    best = (
        {"chosen": following.name, "level": following.level, "age_s": following.age_s} if following else None
    )
    return {
        "tag": need.tag,
        "ifus": list(need.ifus),
        "is_required": need.rule.is_required,
        "chosen": found.chosen or None,
        "level": found.level if found.chosen else None,
        "age_s": found.age_s,
        "warmer_c": found.warmer_c,
        "crossed": list(found.crossed),
        "inconsistent": found.inconsistent,
        "reason": found.reason,
        "rejected": list(found.rejected),
        "next_best": best,
        "without": need.rule.without,
        "source": need.rule.source,
    }


def _search_document(search: "Search") -> dict[str, Any]:
    windows = [{"level": w.level, "begin": _utc(w.begin), "end": _utc(w.end)} for w in search.windows]
    return {
        "tag": search.tag,
        "wanted_by": list(search.wanted_by),
        "dpr_catg": search.dpr_catg,
        "dpr_types": list(search.dpr_types),
        "ins_mode": search.ins_mode,
        "readout": search.readout,
        "windows": windows,
        "least": search.least,
        "text": search.in_words(),
    }


def _utc(date: str) -> str | None:
    return f"{date}:00Z" if date else None
