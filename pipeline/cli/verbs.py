"""The verbs of `clio`: the heading under which each stands, the module that has it, a sentence about it."""

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb, so that the help can be printed before any of them is imported."""

    name: str
    module: str
    """In this package; its `add_to` adds the verb."""
    summary: str
    """The first sentence of its help."""


VERBS: dict[str, tuple[Verb, ...]] = {
    "Begin": (
        Verb(
            "init",
            "workspace",
            "Start a workspace: write a clio.toml that says every key, and a schema of it for editors.",
        ),
        Verb(
            "doctor",
            "workspace",
            "Say what works here: each engine is tried for real, and what is missing is named.",
        ),
        Verb(
            "image",
            "image",
            "Build, list, verify, import an image of ESO's recipes; known by its digest, never by a tag.",
        ),
        Verb("config", "config", "Check clio.toml, and say what holds and why."),
        Verb(
            "import-config",
            "import_config",
            "Write a clio.toml that does what settings of pymusepipe or musered do, and say so line by line.",
        ),
        Verb(
            "demo",
            "night",
            "Show the whole: simulate a night, reduce it, replay the cube, and compare it with the truth.",
        ),
        Verb(
            "simulate", "night", "Write a synthetic night that ESO's recipes reduce, with the truth about it."
        ),
    ),
    "Reduce": (
        Verb(
            "scan",
            "workspace",
            "List the frames of the workspace and what they are; what cannot be used, with its reason.",
        ),
        Verb(
            "calibrations",
            "calibrations",
            "Say for each exposure which calibrations it needs, "
            "which are chosen and why, and what is missing.",
        ),
        Verb(
            "params",
            "params",
            "List the recipes of an image, or the parameters of one and what this workspace sets of them.",
        ),
        Verb("plan", "work", "Say what would run and why, hit or miss; runs nothing."),
        Verb("run", "work", "Reduce: run what is not known yet, and nothing else."),
        Verb("status", "work", "Say where things stand, stage by stage."),
        Verb("align", "align", "Look at the offsets of exposures, and correct them."),
    ),
    "Understand": (
        Verb(
            "show",
            "questions",
            "Show a product or a run in full: what it is, how it was made, from what, how it went.",
        ),
        Verb(
            "trace",
            "questions",
            "Follow a product back to the raw frames, or anything down to all that was made from it.",
        ),
        Verb(
            "why",
            "questions",
            "Say why a step ran the last time, and what would become of it now, down to what began it.",
        ),
        Verb(
            "diff",
            "diff",
            "Say in what two products, runs or reductions differ, from what came out "
            "back to where they part.",
        ),
        Verb(
            "audit",
            "audit",
            "Say how any FITS file was made: what is proven, what its header claims, what is unknown.",
        ),
    ),
    "Judge": (
        Verb(
            "accept",
            "acceptances",
            "Let what a step made before stand for what it would make now, "
            "because the difference does not matter.",
        ),
        Verb(
            "taint",
            "taint",
            "Mark something as bad, and with it all that came of it; the next `clio run` does what cures it.",
        ),
        Verb(
            "trust", "imports", "Believe what was imported, as if it had been made here; or take that back."
        ),
    ),
    "Prove": (
        Verb(
            "replay",
            "replay",
            "Make products again from their records, and say in what the bytes "
            "that come out differ, if they do.",
        ),
        Verb(
            "verify",
            "verify",
            "Check products against the sidecars beside them, or files and runs against their signatures.",
        ),
        Verb(
            "passport",
            "passport",
            "Run a recipe again at another time, host name, user and directory, "
            "and list every card that moves.",
        ),
    ),
    "Keep": (
        Verb(
            "check",
            "upkeep",
            "Verify the store and name all damage; changes nothing, and leaves with 6 if there is any.",
        ),
        Verb(
            "reindex", "upkeep", "Make the index of the store anew from its records; nothing is lost by it."
        ),
        Verb(
            "prune",
            "space",
            "Drop products that are proven to come back and that nobody needs, cheapest per gigabyte first.",
        ),
        Verb(
            "restore",
            "space",
            "Make pruned products again from their records, and prove that the bytes are the same.",
        ),
        Verb("pin", "space", "Keep products from being pruned, for good or until they are unpinned."),
        Verb("unpin", "space", "Take pins out: the products may be pruned again."),
    ),
    "Share": (
        Verb(
            "export",
            "bundles",
            "Write products with all that says how they were made into one file, a bundle, for others.",
        ),
        Verb(
            "freeze",
            "bundles",
            "Export once everything is proven: every byte read, every run made again with the same data.",
        ),
        Verb(
            "import",
            "imports",
            "Take a bundle into the store: its records and products can be shown and traced from then on.",
        ),
        Verb("sign", "sign", "Sign a run with its products, a bundle, or any file, with an SSH key."),
        Verb(
            "cite",
            "cite",
            "Print words for a paper about a product: methods, acknowledgement, exposures, references.",
        ),
    ),
}
"""By the heading of the help under which they stand, in the order in which they are shown."""
