"""Questions about runs and artifacts that the index answers: pure SQL in, names out."""

import json
from dataclasses import dataclass
from enum import StrEnum

from provenance.errors import AmbiguousReference, UnknownReference
from provenance.index import Index

LEAST_HEX = 8
"""Digits a reference needs at least."""


class TargetKind(StrEnum):
    """What a reference can mean."""

    ARTIFACT = "artifact"
    RUN = "run"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Target:
    """A thing in the store that a reference means."""

    kind: TargetKind
    value: str
    """Digest, run id or action key, whole."""


RunName = tuple[str, str]
"""Action key and run id: what a record is found by."""


def select_runs(
    index: Index,
    *,
    stage: str | None = None,
    unit: str | None = None,
    key: str | None = None,
    limit: int = -1,
) -> tuple[RunName, ...]:
    """Return runs, newest first; those of a stage, a unit or an action if given."""
    asked = [("stage", stage), ("unit", unit), ("action_key", key)]
    given = [(column, value) for column, value in asked if value is not None]
    where = " AND ".join(f"{column} = ?" for column, _ in given) or "1"
    sql = f"SELECT action_key, run_id FROM run WHERE {where} ORDER BY run_id DESC LIMIT ?"
    return tuple((row[0], row[1]) for row in index.read(sql, [*(value for _, value in given), limit]))


def topic_of(stage: str, unit: str) -> str:
    """Name a step as what rows are about; see `Index.insert_late`."""
    return f"{stage}:{unit}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An action that was tried for a unit, by the run that tells most of it."""

    key: str
    run: str
    """The newest successful run; the newest, if none succeeded."""
    is_success: bool


def select_attempts(
    index: Index, stage: str, unit: str, *, before: str | None = None, limit: int = -1
) -> tuple[Attempt, ...]:
    """Return the actions of which runs proper of a unit were made, those tried last first.

    Parameters
    ----------
    index : Index
        Of the store.
    stage, unit : str
        The step.
    before : str, optional
        Only runs that began before this one.
    limit : int, optional
        At most so many.
    """
    sql = (
        "SELECT action_key, coalesce(max(CASE WHEN is_success THEN run_id END), max(run_id)), max(is_success)"
        " FROM run WHERE stage = ? AND unit = ? AND purpose = 'run' AND run_id < ?"
        " GROUP BY action_key ORDER BY max(run_id) DESC LIMIT ?"
    )
    rows = index.read(sql, (stage, unit, before or "~", limit), topic=topic_of(stage, unit))
    return tuple(Attempt(key, run, bool(is_success)) for key, run, is_success in rows)


@dataclass(frozen=True, slots=True)
class PastStep:
    """What a call of the command did with a step."""

    when: str
    """When the call began."""
    outcome: str
    why: tuple[str, ...]
    run: str | None
    workspace: str | None
    """Where it was called."""


def select_past_steps(index: Index, stage: str, unit: str) -> tuple[PastStep, ...]:
    """Return what the calls of the command did with a step, newest first."""
    sql = (
        "SELECT started, outcome, why, run_id, workspace FROM step JOIN invocation USING (invocation_id)"
        " WHERE stage = ? AND unit = ? ORDER BY invocation_id DESC"
    )
    rows = index.read(sql, (stage, unit))
    return tuple(PastStep(when, did, tuple(json.loads(why)), *place) for when, did, why, *place in rows)


def select_newest(
    index: Index, stage: str, *, successful: bool = False, recipe: str | None = None
) -> tuple[RunName, ...]:
    """Return the newest run of each unit of a stage, by unit; replays only where there is nothing else.

    Parameters
    ----------
    index : Index
        Of the store.
    stage : str
        The stage.
    successful : bool
        Pass over runs that failed.
    recipe : str, optional
        Pass over runs of other recipes; a stage may call one of several.
    """
    where = " AND is_success" if successful else ""
    where += " AND action_key IN (SELECT action_key FROM action WHERE recipe = ?)" if recipe else ""
    sql = (
        "SELECT unit, action_key, run_id FROM run WHERE stage = ?"
        f"{where} ORDER BY purpose IN ('run', 'import'), run_id"
    )
    newest = {unit: (key, run) for unit, key, run in index.read(sql, (stage, recipe) if recipe else (stage,))}
    return tuple(newest[unit] for unit in sorted(newest))


def select_makers(index: Index, digest: str) -> tuple[RunName, ...]:
    """Return the runs that made an artifact, newest first; a log is made too."""
    sql = (
        "SELECT action_key, run_id FROM run WHERE run_id IN (SELECT run_id FROM run_output WHERE digest = ?"
        " UNION SELECT run_id FROM run WHERE log_digest = ?) ORDER BY run_id DESC"
    )
    return tuple((row[0], row[1]) for row in index.read(sql, (digest, digest)))


def select_readers(index: Index, digest: str) -> tuple[RunName, ...]:
    """Return the runs that read an artifact, newest first."""
    sql = (
        "SELECT action_key, run_id FROM run WHERE run_id IN (SELECT run_id FROM run_input WHERE digest = ?)"
        " ORDER BY run_id DESC"
    )
    return tuple((row[0], row[1]) for row in index.read(sql, (digest,)))


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that a run read or made, under a name."""

    digest: str
    data_digest: str | None
    tag: str
    name: str
    """As the recipe saw it, or wrote it."""
    seen_at: str | None
    """Where a run found it; None for a product."""
    run: str
    """The run that made it, or the newest that read it."""
    is_product: bool


def select_files_named(index: Index, name: str) -> tuple[KnownFile, ...]:
    """Return the files that runs read or made under a name, products first, each once."""
    return _known_files(index, "name = ?", (name,))


def select_files_of_data(index: Index, data_digest: str) -> tuple[KnownFile, ...]:
    """Return the files of a data digest, products first, each once."""
    return _known_files(index, "data_digest = ?", (data_digest,))


def select_products_of(index: Index, tag: str, limit: int) -> tuple[KnownFile, ...]:
    """Return the newest products of a tag, each once, at most so many."""
    found = _known_files(index, "tag = ?", (tag,))
    return tuple(file for file in found if file.is_product)[:limit]


def _known_files(index: Index, where: str, values: tuple[str, ...]) -> tuple[KnownFile, ...]:
    # Runs proper before replays, the newest first: whoever asks wants the one that is believed.
    sql = (
        "SELECT digest, data_digest, tag, name, seen_at, run_id, is_product FROM ("
        "SELECT digest, tag, name, NULL AS seen_at, run_id, 1 AS is_product FROM run_output"
        " WHERE NOT is_extra"
        " UNION ALL SELECT digest, tag, name, seen_at, run_id, 0 FROM run_input)"
        " JOIN artifact USING (digest) JOIN run USING (run_id)"
        f" WHERE {where} ORDER BY is_product DESC, is_success AND purpose = 'run' DESC, run_id DESC"
    )
    found: dict[tuple[str, str], KnownFile] = {}
    for digest, data, tag, name, seen_at, run, is_product in index.read(sql, values):
        file = KnownFile(digest, data, tag, name, seen_at, run, bool(is_product))
        found.setdefault((digest, name), file)
    return tuple(found.values())


def key_of(index: Index, run: str) -> str | None:
    """Return the action key of a run."""
    rows = index.read("SELECT action_key FROM run WHERE run_id = ?", (run,))
    return rows[0][0] if rows else None


def record_digest_of(index: Index, run: str) -> str | None:
    """Return the digest that the record of a run had when it was indexed; None if it is not yet."""
    rows = index.read("SELECT record_digest FROM run WHERE run_id = ?", (run,))
    return rows[0][0] if rows else None


def resolve(index: Index, reference: str) -> tuple[Target, ...]:
    """Return what a reference means, at most one thing of each kind.

    Parameters
    ----------
    index : Index
        Of the store.
    reference : str
        A digest or the first 8 or more of its digits, with or without `sha256:`; a data digest with its
        prefix; a run id or its beginning; an action key or its beginning.

    Raises
    ------
    UnknownReference
        Nothing goes by that name, or it is too short to tell.
    AmbiguousReference
        Several artifacts, runs or actions do.
    """
    found = [(TargetKind.ARTIFACT, value) for value in _artifacts(index, reference)]
    if ":" not in reference and len(reference) >= LEAST_HEX:
        found += [(TargetKind.RUN, value) for value in _beginning(index, "run", "run_id", reference)]
        found += [
            (TargetKind.ACTION, value) for value in _beginning(index, "action", "action_key", reference)
        ]
    if not found:
        raise UnknownReference(
            f"nothing in the store goes by {reference}",
            f"give a digest, run id or action key, or its first {LEAST_HEX} digits or more",
        )
    for kind in TargetKind:
        values = [value for candidate, value in found if candidate is kind]
        if len(values) > 1:
            raise AmbiguousReference(
                f"{reference} may be any of {len(values)} {kind.value}s: {', '.join(values)}",
                "give more digits",
            )
    return tuple(Target(kind, value) for kind, value in found)


def _artifacts(index: Index, reference: str) -> list[str]:
    algorithm, _, digits = reference.rpartition(":")
    if len(digits) < LEAST_HEX:
        return []
    if algorithm in ("", "sha256"):
        return _beginning(index, "artifact", "digest", f"sha256:{digits}")
    rows = index.read(
        "SELECT digest FROM artifact WHERE data_digest >= ? AND data_digest < ? ORDER BY digest LIMIT 10",
        (reference, reference + "\uffff"),
    )
    return [row[0] for row in rows]


def _beginning(index: Index, table: str, column: str, text: str) -> list[str]:
    # A range, not LIKE: it uses the key's order, and % and _ are nothing special.
    sql = f"SELECT {column} FROM {table} WHERE {column} >= ? AND {column} < ? ORDER BY {column} LIMIT 10"
    return [row[0] for row in index.read(sql, (text, text + "\uffff"))]
