"""Workspaces to break, and what has to hold of each afterwards, whatever was done to it."""

import json
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from builders import write_night
from fakes import install_image

from pipeline.fitsdigest import digest_file
from pipeline.lock import read_lock
from pipeline.places import LOCK
from pipeline.replacing import PART
from provenance.check import Damage, check, remarks
from provenance.store import Store
from tests.faults.nursery import Child, Ended, Nursery, Order

STAGES = ("bias", "flat")
"""Of a trial: two steps, the second reads what the first made."""
_STEPS = 2


@dataclass(frozen=True, slots=True)
class Look:
    """What a file is to promise 10: its bytes and its times."""

    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    links: int
    digest: str


@dataclass(slots=True)
class Yard:
    """One night and one image for all trials, and where the trials take place."""

    root: Path
    nursery: Nursery
    science: dict[str, str] = field(default_factory=dict)
    """Data digest of each product of an undisturbed run, by its name under `products/`."""
    raw: dict[Path, Look] = field(default_factory=dict)
    """The night as it has to stay."""
    _count: int = 0

    @classmethod
    def make(cls, root: Path, nursery: Nursery) -> "Yard":
        """Write the night, install the image and run undisturbed, once."""
        write_night(root / "night", objects=1, ifus=(1,))
        install_image(root / "library")
        root.chmod(0o755)  # other users run here as well
        yard = cls(root, nursery)
        yard.raw = yard.looks()
        yard.plot().run(is_first=True)
        plot = yard.plot()
        ended = plot.run()
        assert ended.steps("ran") == ["bias:2023-02-25T14:24:00:01", "flat:2023-02-25T14:52:48:01"], ended
        yard.science = plot.shown()
        return yard

    def plot(self, *, folder: Path | None = None, store: Path | None = None) -> "Plot":
        """Begin a workspace; with a store elsewhere if one is named."""
        self._count += 1
        folder = folder or self.root / f"plot-{os.getpid()}-{self._count}"
        folder.mkdir(parents=True)
        text = f"[clio]\njobs = 2\n{f'store = {json.dumps(str(store))}' if store else ''}\n"
        night = self.root / "night"
        text += f'[data]\nraw = ["{night / "raw"}"]\ncalib = ["{night / "calib"}"]\n'
        (folder / "clio.toml").write_text(text)
        log = folder.with_name(f"{folder.name}.log")
        order = Order(str(folder), str(self.root / "library"), str(log), STAGES)
        return Plot(self, folder, store or folder / ".clio", order)

    def looks(self) -> dict[Path, Look]:
        """Look at the night."""
        return {path: _look(path) for path in sorted((self.root / "night").rglob("*.fits"))}


def _look(path: Path) -> Look:
    found = path.stat()
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return Look(found.st_size, *times, found.st_mode, found.st_nlink, digest_file(path).digest)


@dataclass(slots=True)
class Plot:
    """A workspace to break."""

    yard: Yard
    folder: Path
    store: Path
    order: Order

    @property
    def products(self) -> Path:
        """The tree of products."""
        return self.folder / "products"

    @property
    def log(self) -> Path:
        """What the engine noted."""
        return Path(self.order.log)

    def start(self, **how: object) -> Child:
        """Begin a run; see `Order` for how."""
        return self.yard.nursery.start(replace(self.order, **how))  # type: ignore[arg-type]

    def beside(self) -> "Plot":
        """Begin another workspace on the same store; both keep one log."""
        other = self.yard.plot(store=self.store)
        other.order = replace(other.order, log=self.order.log)
        return other

    def run(self, **how: object) -> Ended:
        """Run to the end."""
        return self.start(**how).wait()

    def damage(self) -> tuple[Damage, ...]:
        """Check every byte of the store; nothing is wrong with one that is not there yet."""
        if not (self.store / "store.json").exists():
            return ()
        with Store.open(self.store) as store:
            return check(store, deep=True)

    def shown(self) -> dict[str, str]:
        """Give the data digest of each product a person sees, by its name under `products/`."""
        paths = [path for path in self.products.rglob("*") if path.is_symlink() or not path.is_dir()]
        return {
            path.relative_to(self.products).as_posix(): digest_file(path).data_digest
            for path in sorted(paths)
            if not path.name.startswith(".")
        }

    def remove(self) -> None:
        """Take it away."""
        shutil.rmtree(self.folder)
        self.log.unlink(missing_ok=True)

    def partial(self) -> list[Path]:
        """List hidden files that a move into place was to end, in products and workspace."""
        return sorted(self.folder.rglob(f".*{PART}"))


def assert_nothing_half_done(plot: Plot) -> None:
    """Promise 1: whatever happened, the store is sound and what is shown is whole."""
    assert plot.damage() == ()
    for name, digest in plot.shown().items():
        assert plot.yard.science.get(name) == digest, f"{name} is not the product it is called"


def assert_carries_on(plot: Plot) -> None:
    """Promise 1: the same command again finishes the work and leaves nothing lying about."""
    ended = plot.run()
    assert (ended.status, ended.error, ended.message) == (0, "", "")
    assert len(ended.steps("ran")) + len(ended.steps("hit")) == _STEPS
    lock = read_lock(plot.folder / LOCK)
    assert lock is not None
    assert len(lock.steps) == _STEPS
    assert_finished(plot)


def assert_finished(plot: Plot) -> None:
    """All is made, shown, sound and tidy; no action ran twice at the same time, no raw frame was touched."""
    assert plot.shown() == plot.yard.science
    assert plot.partial() == []
    assert sorted((plot.store / "work").iterdir()) == []
    assert sorted((plot.store / "tmp").iterdir()) == []
    assert sorted((plot.store / "claims").iterdir()) == []
    assert plot.damage() == ()
    with Store.open(plot.store) as store:
        assert [remark for remark in remarks(store) if "set aside" not in remark.message] == []
    assert overlaps(plot.log) == []
    assert plot.yard.looks() == plot.yard.raw
    owners = {path.lstat().st_uid for path in plot.folder.rglob("*")}
    assert owners == {plot.folder.stat().st_uid}


def overlaps(log: Path) -> list[str]:
    """List the actions that the engine ran twice at the same time, by the notes it made."""
    running: dict[str, set[str]] = defaultdict(set)
    owner: dict[str, int] = {}
    twice = []
    for line in log.read_text().splitlines() if log.exists() else ():
        found = json.loads(line)
        match found["what"]:
            case "begin":
                if running[found["action"]]:
                    twice.append(f"{found['run']} beside {sorted(running[found['action']])}")
                running[found["action"]].add(found["run"])
                owner[found["run"]] = found["pid"]
            case "end":
                running[found["action"]].discard(found["run"])
            case _:
                for runs in running.values():
                    runs -= {run for run in runs if owner[run] == found["pid"]}
    return twice
