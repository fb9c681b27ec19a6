"""The memory of the reduction: what was made, from which bytes, how, and whether it is still there.

Knows bytes, digests and SQLite; knows no FITS file and no container, and imports nothing of the pipeline.

Words
-----
action
    Everything that decides an outcome: recipe, image, all parameters, environment, inputs with tag and
    order, outputs expected. Its *key* is the SHA-256 of its canonical JSON, 64 hex digits.
run
    One attempt at an action, in a *record*: an immutable file. Writing it is the commit point.
artifact
    Bytes, known by their digest `sha256:<64 hex>`. Those the store keeps are its *objects*.
known
    An action of which a run was made for its products, with status `ok` or `caveat` and exit status 0, and
    all its products are there and intact, and of which nothing is tainted. The newest such run is believed;
    without one, the run of another action that a person accepted in its place, if its products are there
    and intact.
statement
    What a person or a check said later, immutable too: an invocation, a pin, a passport, an
    acceptance, a taint, and their taking back.
imported
    Brought by a bundle. An imported run is shown, and is not known before a statement of this store vouches
    for it; imported statements are shown, and decide nothing.

Layout, format 1
----------------
::

    store.json                          type, version, id, digest, created, lease_s, beat_s
    objects/ab/<64 hex>                 artifacts by digest, mode 0444, written once
    actions/ab/<key>.json               canonical actions
    records/ab/<key>/<run>.json         records; run is a UUID of version 7
    statements/ab/<64 hex>.json         statements, by the digest of the file
    journal/<YYYYMMDD>/<run>.<key>      empty: names of records by day, written just before each; a hint
    journal/<YYYYMMDD>/<64 hex>         the same for statements
    imports/<64 hex>                    empty: names of the statements that say what was imported here
    claims/<key>                        leases of actions being made: links that name the owner
    work/<run>/{owner,in,out}           scratch of a run; `kept` beside them keeps it from the sweep
    tmp/<owner>~<uuid>                  files being written; what a process keeps while it lives: scratch
                                        for its next run, the file that claims and journal are names of
    damaged/<64 hex>~<ns>               objects found damaged and set aside
    trash/<64 hex>                      objects on their way out
    provenance.db                       SQLite: the index of the above, and the stat memo; disposable

`ab` are the first two digits of the name. Files under `actions`, `records` and `statements` are canonical
JSON (RFC 8785) in UTF-8 without floats, mode 0444, linked into place whole and never changed. Each has a
`type` (`clio-action`, `clio-record`, `clio-statement`) and a `version`, 1 so far; fields may be added to a
version, never changed. On a network file system the database lies on local disk,
`$XDG_STATE_HOME/clio/<store id>.db`. An *owner* is `<pid>.<start>.<boot id>.<host>-<pid namespace>`.

`model` documents every field of a record, `schema` every table.

Public names
------------
`store.Store` is the door; `check.examine`, `check.check`, `check.remarks`, `check.reindex`; `prune.survey`,
`prune.plan`, `prune.carry_out`; `lineage.ancestors`, `lineage.descendants`; the values of `model`,
`lookup.Lookup`, `memo.Memo`, `memo.MemoEntry`, `objects.StoredObject`, `queries.Target`; `digest` and
`errors`.

Importing any of these costs milliseconds: sqlite-utils is loaded when a database is opened.
"""
