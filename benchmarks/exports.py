"""How long a lineage of many runs takes to write, form by form.

Usage: python benchmarks/exports.py FOLDER [RUNS]

The runs are records without frames: biases, flats, exposures of 17 IFUs, and what is made of them, combined
in the end; each with forty parameters, and thirty quality figures a product.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from graph import write_workspace  # noqa: F401 - first: it finds the tests' builders

from history import IMAGE, run_id, used  # isort: skip
from provenance.digest import digest_bytes
from provenance.model import Action, ActionInput, ExpectedOutput, InputFile, OutputFile, Run, Status
from provenance.store import Store

CLIO = Path(sys.executable).with_name("clio")
FORMS = ("json", "prov-json", "prov-n", "ivoa", "crate", "dot", "mermaid", "tree")
PARAMETERS = 40
IFUS = 17
TOGETHER = 20
"""Runs from a bias to the pixel table that is combined."""


@dataclass
class Writer:
    """Writes records, one after the other."""

    store: Store
    runs: int = 0

    def run(self, recipe: str, stage: str, unit: str, inputs: tuple[InputFile, ...], *tags: str) -> Run:
        """Record a run that made a product of each tag."""
        self.runs += 1
        outputs = tuple(self._product(tag, unit) for tag in tags)
        names = [f"muse.{recipe}.p{number:02d}" for number in range(PARAMETERS)]
        action = Action(
            recipe=recipe,
            spec=1,
            image=IMAGE,
            platform="linux/amd64",
            parameters=tuple((name, "1") for name in names),
            environment=(("LC_ALL", "C"), ("TZ", "UTC")),
            inputs=tuple(ActionInput(i.tag, i.name, str(i.data_digest)) for i in inputs),
            outputs=tuple(ExpectedOutput(tag, 1) for tag in tags),
            numerics="pinned",
        )
        run = Run(
            run=run_id(self.runs),
            action=action.key,
            status=Status.OK,
            stage=stage,
            unit=unit,
            exit_status=0,
            started="2026-11-23T00:00:00.000Z",
            ended="2026-11-23T00:00:12.000Z",
            wall_ms=12_000,
            inputs=inputs,
            outputs=outputs,
            defaults=tuple(names[3:]),
            engine=(("name", "none"), ("version", "1")),
            software=(("clio", "0.1.0"), ("recipe", "muse/2.8.7")),
            invocation=run_id(10**9),
        )
        self.store.records.put_action(action)
        self.store.records.put_record(run)
        return run

    def _product(self, tag: str, unit: str) -> OutputFile:
        content = f"{tag} {unit}".encode()
        kept = self.store.objects.put_bytes(content)
        figures = tuple((f"ESO QC X{number}", str(number)) for number in range(30))
        data = f"fits1:{digest_bytes(b'data ' + content)[7:]}"
        return OutputFile(tag, f"{tag}-{unit}.fits", kept.digest, data, (), kept.size, figures)


def write(folder: Path, runs: int) -> int:
    """Make a workspace with a lineage of so many runs, or a few less."""
    os.fsync = lambda descriptor: None  # whoever breaks off builds again
    folder.mkdir(parents=True)
    (folder / "clio.toml").write_text("[clio]\n")
    with Store.create(folder / ".clio") as store:
        writer, tables = Writer(store), []
        for group in range(runs // TOGETHER):
            raw = _frames("BIAS", group, 5)
            bias = writer.run("muse_bias", "bias", f"{group}", raw, "MASTER_BIAS")
            masters = tuple(map(used, bias.outputs))
            flats = (*_frames("FLAT", group, 5), *masters)
            flat = writer.run("muse_flat", "flat", f"{group}", flats, "MASTER_FLAT", "TRACE_TABLE")
            masters += tuple(map(used, flat.outputs))
            frames = _frames("OBJECT", group, IFUS)
            exposures = [
                writer.run(
                    "muse_scibasic", "scibasic", f"{group}:{ifu:02d}", (frame, *masters), "PIXTABLE_OBJECT"
                )
                for ifu, frame in enumerate(frames, start=1)
            ]
            pixels = tuple(used(run.outputs[0]) for run in exposures)
            made = writer.run("muse_scipost", "scipost_perexpo", f"{group}", pixels, "PIXTABLE_REDUCED")
            tables.append(used(made.outputs[0]))
        writer.run("muse_exp_combine", "combine", "all", tuple(tables), "DATACUBE_FINAL")
        return writer.runs


def _frames(tag: str, group: int, number: int) -> tuple[InputFile, ...]:
    names = [f"MUSE.{tag}.{group}.{place}.fits" for place in range(number)]
    digests = [digest_bytes(name.encode()) for name in names]
    return tuple(
        InputFile(tag, name, digest, f"fits1:{digest[7:]}", 100)
        for name, digest in zip(names, digests, strict=True)
    )


def measure(folder: Path) -> None:
    """Print a line a form."""
    subprocess.run([CLIO, "-q", "reindex", "-C", folder], stdout=subprocess.DEVNULL, check=True)
    print(f"{'form':10} {'wall s':>7} {'CPU s':>7} {'MB':>7}")
    for form in FORMS:
        with tempfile.TemporaryFile() as out:
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            words = [CLIO, "-q", "trace", "combine", "--format", form, "-C", folder]
            subprocess.run(words, stdout=out, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"{form:10} {time.monotonic() - began:7.1f} {cpu:7.1f} {out.tell() / 1e6:7.1f}", flush=True)
    print(f"largest memory {after.ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(f"{write(place, int((sys.argv[2:] or ['2000'])[0]))} runs in {place}")
    measure(place)
