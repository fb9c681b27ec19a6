"""Which kind of file system a path lies on, as some promise less than others."""

import os
from pathlib import Path

_NETWORK = frozenset(
    ("nfs", "nfs4", "lustre", "gpfs", "cifs", "smb3", "smbfs", "beegfs", "ceph", "afs", "9p", "glusterfs")
)


def is_network(filesystem: str) -> bool:
    """Tell whether other hosts may write to a file system of a type; all of FUSE but that on a disk counts.

    Shared memory, which SQLite's log needs, does not work there, nor do leases tell of writers.
    """
    return filesystem in _NETWORK or (filesystem.startswith("fuse") and filesystem != "fuseblk")


def filesystem_of(path: Path) -> str:
    """Return the type of the file system a path lies on; empty if the system does not say."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[2] == wanted:
            return right.split()[0]
    return ""
