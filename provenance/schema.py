"""Tables of the index. All but the stat memo can be made again from the files; a change is a reindex.

`VERSION` goes up with every change below: an older index is then rebuilt by itself, a newer one refused.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

VERSION = 4
"""`user_version` of the database."""
APPLICATION_ID = 0x436C696F
"""`application_id` of the database: the letters `Clio`."""

INDEXED = """
CREATE TABLE meta (                -- facts about the index itself
  name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE artifact (            -- bytes a run read or made, whatever their name
  digest TEXT PRIMARY KEY CHECK (digest GLOB 'sha256:*' AND length(digest) = 71),
  size INTEGER CHECK (size >= 0), data_digest TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE parameters (          -- all of a recipe, as an object of JSON; most steps of a stage share them
  digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE action (              -- its inputs are those of its runs
  action_key TEXT PRIMARY KEY CHECK (length(action_key) = 64), recipe TEXT NOT NULL, spec INTEGER NOT NULL,
  image TEXT NOT NULL, platform TEXT NOT NULL, numerics TEXT NOT NULL,
  parameters TEXT NOT NULL REFERENCES parameters(digest)) STRICT, WITHOUT ROWID;
CREATE VIEW action_parameter AS    -- the same, a row a parameter
 SELECT action_key, key AS name, atom AS value
   FROM action JOIN parameters ON parameters.digest = action.parameters, json_each(body);
CREATE TABLE run (                 -- one attempt at an action
  run_id TEXT PRIMARY KEY, action_key TEXT NOT NULL CHECK (length(action_key) = 64),
  purpose TEXT NOT NULL CHECK (purpose IN ('run','replay','passport','import')),
  status TEXT NOT NULL
    CHECK (status IN ('ok','caveat','failed','killed','timeout','lost','input-changed')),
  is_success INTEGER NOT NULL CHECK (is_success IN (0,1)),
  cause TEXT, reason TEXT, stage TEXT NOT NULL, unit TEXT NOT NULL, exit_status INTEGER, signal INTEGER,
  started TEXT NOT NULL, ended TEXT, clock_mode TEXT NOT NULL, clock_at TEXT,
  wall_ms INTEGER, cpu_user_ms INTEGER, cpu_system_ms INTEGER, peak_memory_bytes INTEGER,
  read_bytes INTEGER, written_bytes INTEGER, threads INTEGER, engine TEXT, host TEXT,
  log_digest TEXT REFERENCES artifact(digest), warnings INTEGER NOT NULL, errors INTEGER NOT NULL,
  caveats TEXT NOT NULL, invocation_id TEXT,
  record_digest TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE run_input (           -- the very bytes this run read
  run_id TEXT NOT NULL REFERENCES run(run_id) ON DELETE CASCADE, pos INTEGER NOT NULL, tag TEXT NOT NULL,
  name TEXT NOT NULL, digest TEXT NOT NULL REFERENCES artifact(digest) ON DELETE RESTRICT, seen_at TEXT,
  PRIMARY KEY (run_id, pos)) STRICT, WITHOUT ROWID;
CREATE TABLE run_output (
  run_id TEXT NOT NULL REFERENCES run(run_id) ON DELETE CASCADE, pos INTEGER NOT NULL, tag TEXT NOT NULL,
  name TEXT NOT NULL, digest TEXT NOT NULL REFERENCES artifact(digest) ON DELETE RESTRICT,
  is_extra INTEGER NOT NULL CHECK (is_extra IN (0,1)), PRIMARY KEY (run_id, pos)) STRICT, WITHOUT ROWID;
CREATE TABLE qc (
  run_id TEXT NOT NULL, pos INTEGER NOT NULL, keyword TEXT NOT NULL, value TEXT NOT NULL, number REAL,
  PRIMARY KEY (run_id, pos, keyword),
  FOREIGN KEY (run_id, pos) REFERENCES run_output(run_id, pos) ON DELETE CASCADE) STRICT, WITHOUT ROWID;
CREATE TABLE statement (
  digest TEXT PRIMARY KEY, kind TEXT NOT NULL,
  body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE invocation (          -- one call of the command
  invocation_id TEXT PRIMARY KEY, statement TEXT NOT NULL REFERENCES statement(digest) ON DELETE CASCADE,
  started TEXT NOT NULL, ended TEXT, argv TEXT NOT NULL, clio_version TEXT NOT NULL,
  workspace TEXT, exit_status INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE step (                -- one step of an invocation; a hit is a step without a run of its own
  invocation_id TEXT NOT NULL REFERENCES invocation(invocation_id) ON DELETE CASCADE, pos INTEGER NOT NULL,
  stage TEXT NOT NULL, unit TEXT NOT NULL, recipe TEXT NOT NULL, action_key TEXT, run_id TEXT,
  outcome TEXT NOT NULL CHECK (outcome IN ('hit','ran','failed','blocked')),
  why TEXT NOT NULL, PRIMARY KEY (invocation_id, pos)) STRICT, WITHOUT ROWID;
CREATE VIEW upstream AS            -- for browsing; a lineage starts its walk at one digest
 WITH RECURSIVE up(root, digest, depth, run_id) AS (
   SELECT digest, digest, 0, NULL FROM artifact
   UNION SELECT up.root, i.digest, up.depth + 1, o.run_id
     FROM up JOIN run_output o ON o.digest = up.digest JOIN run_input i ON i.run_id = o.run_id)
 SELECT * FROM up;
"""
"""What `reindex` makes from the files."""

INDEXES = """
CREATE INDEX i_run_action ON run(action_key);
CREATE INDEX i_run_stage ON run(stage, unit);
CREATE INDEX i_run_log ON run(log_digest);
CREATE INDEX i_step_unit ON step(stage, unit);
CREATE INDEX i_output_digest ON run_output(digest);
CREATE INDEX i_input_digest ON run_input(digest);
CREATE INDEX i_artifact_data ON artifact(data_digest);
CREATE INDEX i_qc_keyword ON qc(keyword, number);
CREATE INDEX i_statement_kind ON statement(kind);
"""
"""Made once the tables are full, which is quicker than keeping them in order meanwhile."""

MEMO = """
CREATE TABLE IF NOT EXISTS stat_memo (  -- a hint; may be emptied at any time
  device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL, hashed_at_ns INTEGER NOT NULL, digest TEXT NOT NULL, data_digest TEXT,
  extra TEXT, PRIMARY KEY (device, inode, size, mtime_ns, ctime_ns)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (       -- what a reader found in a file; a hint too
  device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL, read_at_ns INTEGER NOT NULL, reader TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (device, inode, size, mtime_ns, ctime_ns)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verified (   -- when a deep check last read an object; a hint
  digest TEXT PRIMARY KEY, at_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
"""What is measured on this machine and belongs to no record."""


def version_of(database: "Database") -> int:
    """Return the version of the tables; 0 if there are none."""
    ((version,),) = database.execute("PRAGMA user_version").fetchall()
    return int(version)


def create(database: "Database") -> None:
    """Make all tables anew, inside the caller's transaction; only the memo is kept, if its form is ours.

    Their indexes are left to `create_indexes`.

    Notes
    -----
    Dropping what an older version left is the migration: the files say it all again.
    """
    keep = {"stat_memo", "note", "verified"} if version_of(database) == VERSION else set()
    for kind, name in _objects_of(database):
        if name not in keep:
            database.execute(f'DROP {kind} IF EXISTS "{name}"')
    database.executescript(INDEXED)
    database.executescript(MEMO)
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def create_indexes(database: "Database") -> None:
    """Make the indexes of the tables, inside the caller's transaction."""
    database.executescript(INDEXES)


def _objects_of(database: "Database") -> list[tuple[str, str]]:
    # Youngest first: what refers goes before what it refers to.
    tables = [name for name in reversed(database.table_names()) if not name.startswith("sqlite_")]
    return [("VIEW", name) for name in database.view_names()] + [("TABLE", name) for name in tables]


def is_current(database: "Database") -> bool:
    """Tell whether the tables are of this version, with every table, index and view there."""
    made = re.compile(r"^CREATE (?:TABLE|INDEX|VIEW)(?: IF NOT EXISTS)? (\w+)", re.MULTILINE)
    wanted = set(made.findall(INDEXED + INDEXES + MEMO))
    found = {name for (name,) in database.execute("SELECT name FROM sqlite_master").fetchall()}
    return version_of(database) == VERSION and wanted <= found
