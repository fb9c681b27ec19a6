"""A control group of our own for a run: the memory limit of engines that have no daemon.

Version 1 (a hierarchy a controller) and version 2 are both known. Whether a group may be made depends on the
machine: root may, a user may where the system delegates. Where not, the reason is said, and recorded.
"""

import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.engines.owner import is_alive, this_process

_PROC = Path("/proc/self")
_REMOVE_TRIES = 12
"""With the pause doubled each time, two seconds in all."""
_REMOVE_PAUSE_S = 0.0005


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of the control group file system in which a group may be made."""

    directory: Path
    """Where the new group goes."""
    version: int
    """1 or 2."""


@dataclass(frozen=True, slots=True)
class Group:
    """A control group made for one run."""

    directory: Path
    """Its directory."""
    version: int
    """1 or 2."""

    def oom_kills(self) -> int:
        """How many of its processes the kernel killed for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        match = re.search(r"^oom_kill (\d+)$", _read(self.directory / name), re.MULTILINE)
        return int(match[1]) if match else 0

    def remove(self) -> None:
        """Remove the group; its processes have ended, but the kernel may need a moment to let go of them.

        What an engine left running beside the program ends here: a FUSE server whose master was killed.
        """
        for attempt in range(_REMOVE_TRIES):
            try:
                self.directory.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                self._end_the_rest()
                time.sleep(_REMOVE_PAUSE_S * 2**attempt)

    def _end_the_rest(self) -> None:
        for number in map(int, _read(self.directory / "cgroup.procs").split()):
            # The kernel writes 0 for a process we cannot see, and 0 would be all of ourselves.
            with suppress(ProcessLookupError, PermissionError):
                if number > 0:
                    os.kill(number, signal.SIGKILL)


def make_group(controller: str, name: str, limits: dict[str, int]) -> Group | str:
    """Make a control group with limits.

    Parameters
    ----------
    controller : str
        `memory` or `pids`.
    name : str
        How the name of the group begins, with `clio-`; its end tells whose it is.
    limits : dict
        From a limit's name in version 2 (`memory.max`, `memory.swap.max`, `pids.max`) to its value.

    Returns
    -------
    Group or str
        The group, or in words why there is none.
    """
    place = find_place(controller, _read(_PROC / "mountinfo"), _read(_PROC / "cgroup"))
    if place is None:
        return f"the {controller} controller is not available to us"
    sweep_groups(place.directory)
    directory = place.directory / f"{name}~{this_process().replace('/', '.')}"
    try:
        directory.mkdir()
    except OSError as error:
        return f"no control group can be made in {place.directory}: {error.strerror}"
    group = Group(directory, place.version)
    try:
        for limit, value in limits.items():
            _set_limit(group, limit, value)
    except OSError as error:
        group.remove()
        return f"the limit cannot be set in {place.directory}: {error.strerror}"
    return group


def sweep_groups(directory: Path) -> None:
    """Remove the groups of runs whose Clio was killed; one that is not empty yet stays."""
    for path in directory.glob("clio-*~*"):
        if not is_alive(path.name.rpartition("~")[2].replace(".", "/")):
            with suppress(OSError):
                path.rmdir()


def find_place(controller: str, mountinfo: str, membership: str) -> Place | None:
    """Find where a group with a controller may be made.

    Parameters
    ----------
    controller : str
        `memory` or `pids`.
    mountinfo, membership : str
        Contents of `/proc/self/mountinfo` and `/proc/self/cgroup`.

    Returns
    -------
    Place or None
        In version 1 our own group. In version 2 our own group if it hands the controller on to its children,
        else the group above, because a group with processes in it hands nothing on.
    """
    mounts = [_Mount.parse(line) for line in mountinfo.splitlines() if " - cgroup" in line]
    groups = dict(_membership(line) for line in membership.splitlines() if line.count(":") >= 2)
    for mount in mounts:
        if mount.version == 1 and controller in mount.options and controller in groups:
            return Place(mount.place(groups[controller]), 1)
    for mount in mounts:
        if mount.version == 2 and "" in groups:
            own = mount.place(groups[""])
            for directory in (own, own.parent):
                if mount.point in (directory, *directory.parents) and _hands_on(directory, controller):
                    return Place(directory, 2)
    return None


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted control group file system."""

    root: str
    """Group that is mounted, as `/proc/self/cgroup` names it."""
    point: Path
    """Where."""
    version: int
    """1 or 2."""
    options: tuple[str, ...]
    """Controllers of version 1 are among them."""

    @classmethod
    def parse(cls, line: str) -> "_Mount":
        before, after = line.split(" - ", 1)
        fields, (kind, _, options) = before.split(), after.split(" ", 2)
        point = Path(fields[4].encode().decode("unicode_escape"))
        return cls(fields[3], point, 2 if kind == "cgroup2" else 1, tuple(options.split(",")))

    def place(self, group: str) -> Path:
        relative = os.path.relpath(group, self.root)
        return self.point if relative.startswith("..") else Path(os.path.normpath(self.point / relative))


def _membership(line: str) -> tuple[str, str]:
    """Read a line of `/proc/self/cgroup`: (controller, group); version 2 has an empty controller."""
    _, controllers, group = line.split(":", 2)
    return controllers.split(",")[0], group


def _hands_on(directory: Path, controller: str) -> bool:
    handed = _read(directory / "cgroup.subtree_control").split()
    return controller in handed and os.access(directory / "cgroup.procs", os.W_OK)


def _set_limit(group: Group, limit: str, value: int) -> None:
    if group.version == 2:
        file, optional = limit, limit == "memory.swap.max"
    else:
        # Version 1 limits memory and swap together, so no swap means the same number twice.
        file, optional = {
            "memory.max": ("memory.limit_in_bytes", False),
            "memory.swap.max": ("memory.memsw.limit_in_bytes", True),
            "pids.max": ("pids.max", False),
        }[limit]
        if limit == "memory.swap.max":
            value = int(_read(group.directory / "memory.limit_in_bytes") or 0)
    path = group.directory / file
    # A kernel without swap accounting has no such file.
    if path.exists() or not optional:
        path.write_text(str(value), encoding="ascii")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
