"""Kinds of failure of the store, each with its sentence and what to do about it."""

from pathlib import Path


class ProvenanceError(Exception):
    """Base of every failure this package raises on purpose.

    Parameters
    ----------
    message : str
        What happened and why; lower case, no full stop.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotCanonical(ProvenanceError, ValueError):
    """A value has no canonical form: a float, an integer beyond 2^53, a key said twice."""


class DigestMismatch(ProvenanceError):
    """Bytes are not those their digest names.

    Parameters
    ----------
    subject : str
        What was read: a file, an object.
    expected, actual : str
        The two digests.
    """

    def __init__(self, subject: str, *, expected: str, actual: str) -> None:
        super().__init__(
            f"{subject} holds {short(actual)}, not {short(expected)}",
            "run `clio check` to see all damage; the next run makes it again",
        )
        self.subject = subject
        self.expected = expected
        self.actual = actual


class NotAFile(ProvenanceError):
    """What should be stored is no regular file: a link, a directory, a pipe."""


class FileChanged(ProvenanceError):
    """A file was written to while it was read."""


class StoreMissing(ProvenanceError):
    """There is no store at that path."""


class StoreExists(ProvenanceError):
    """There is a store at that path already."""


class StoreDamaged(ProvenanceError):
    """Something in the store is missing, unreadable, or not what its name says."""


class StoreVersion(ProvenanceError):
    """The store was written by a newer version of this program, in a format unknown to this one."""


class StoreLocked(ProvenanceError):
    """Somebody else holds what is wanted, and waiting for it ended."""


class StoreFull(ProvenanceError):
    """There is no space left where the store lies.

    Parameters
    ----------
    path : Path
        What could not be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"no space left for {path}", "free space on that file system, then run again")
        self.path = path


class StoreUnwritable(ProvenanceError):
    """The store may not be written to.

    Parameters
    ----------
    path : Path
        What could not be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} may not be written to", "look at its permissions, or use another store")
        self.path = path


class RecordRefused(ProvenanceError):
    """A record does not agree with its action, or names outputs that are not in the store."""


class BundleRefused(ProvenanceError):
    """A file is no bundle that may be taken in; nothing of it was stored.

    Parameters
    ----------
    message, hint
        What is wrong with it, of which `it` is the subject; the file is named by whoever knows it.
    """


class UnknownReference(ProvenanceError):
    """Nothing in the store goes by that name."""


class AmbiguousReference(ProvenanceError):
    """More than one thing in the store goes by that name."""


def short(digest: str) -> str:
    """Return the first 12 digits of a digest, as on screen."""
    return digest.rpartition(":")[2][:12]
