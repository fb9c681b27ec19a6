"""Four changes that Clio sees, each beside the peers that do not. Promise 3.

What is said of a peer is what its documentation and design notes say, of the versions named: Snakemake 9.25,
Nextflow 26.08, DVC 3.64, DataLad 1.6, redun 0.27, AiiDA 2.9, Bazel's remote API 2.12, Nix 2.35, doit 0.37,
GNU make 4.4. None of them is run here; `benchmarks/` runs those that make the same graph.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Workspace, did, install_image, parameters_of

from pipeline.errors import UsageError
from pipeline.events import Did
from pipeline.image import ImageLibrary
from pipeline.image.recipes import parameters_to_json
from pipeline.model import FrameInput, Stage
from provenance.difference import Changed, Field, differences
from provenance.model import Action

IMAGE = "sha256:" + "a1" * 32
OTHER_IMAGE = "sha256:" + "b2" * 32
LONG_AGO_S = 1_600_000_000


def test_two_inputs_with_their_roles_swapped_are_another_action(narrow: Workspace) -> None:
    """A lamp flat taken for a sky flat, and the other way round: the same files, the same command line.

    Not seen by Snakemake and its shared cache (inputs are sorted by digest), DVC and DataLad (a list of
    paths with digests, whatever part they play in the command), make and doit (a set of files).
    AiiDA, Nextflow, redun, Bazel and Nix see it.
    """
    narrow.run()
    with narrow.open() as reduction:
        found = next(f for f in reduction.forecast() if f.step.stage is Stage.TWILIGHT)
        runs = {id_: reduction.store.last_run(*id_.split(":", 1)) for id_ in found.step.upstream}
        frames = {i.tag: n for n, i in enumerate(found.step.inputs) if isinstance(i, FrameInput)}
        inputs = list(found.step.inputs)
        one, other = inputs[frames["ILLUM"]], inputs[frames["SKYFLAT"]]
        inputs[frames["ILLUM"]] = replace(one, tag="SKYFLAT")
        inputs[frames["SKYFLAT"]] = replace(other, tag="ILLUM")
        known = {id_: run for id_, run in runs.items() if run is not None}
        job = reduction.resolver.job(replace(found.step, inputs=tuple(inputs)), known)

        assert found.job is not None
        assert {i.digest for i in job.inputs} == {i.digest for i in found.job.inputs}
        assert job.effective == found.job.effective
        assert reduction.store.lookup(found.job.action.key).is_hit
        assert not reduction.store.lookup(job.action.key).is_hit


def test_a_tag_that_was_moved_to_another_image_is_seen(narrow: Workspace) -> None:
    """`muse:2.8` means one image today and another tomorrow.

    Not seen by Nextflow (the name of the container is hashed), Snakemake (its URL), AiiDA (the name, unless
    a digest was written), DVC, redun, make and doit (no image at all). Bazel, Nix and DataLad go by digest.
    """
    for digest in (IMAGE, OTHER_IMAGE):
        install_image(narrow.root / "registry", digest)
    narrow.library = ImageLibrary(narrow.root / "registry")

    def outcomes(digest: str) -> list[list[str]]:
        narrow.configure(f'[image]\nreference = "registry.example/muse:2.8@{digest}"\n')
        summary = narrow.run(Stage.BIAS)
        return [did(summary, what) for what in (Did.RAN, Did.HIT)]

    step = "bias:2023-02-25T14:24:00:01"
    assert outcomes(IMAGE) == [[step], []]
    assert outcomes(OTHER_IMAGE) == [[step], []]
    assert outcomes(IMAGE) == [[], [step]]


def test_a_tag_alone_is_refused(narrow: Workspace) -> None:
    """What a name means tomorrow cannot be in a key."""
    narrow.configure('[image]\nreference = "registry.example/muse:2.8"\n')

    with pytest.raises(UsageError, match=r"registry\.example/muse:2\.8"):
        narrow.run(Stage.BIAS)


def test_a_calibration_edited_in_place_with_size_and_time_put_back_is_seen(narrow: Workspace) -> None:
    """One number of the geometry table, written over in the same inode.

    Not seen by make, Snakemake (times; digests of small files only when the time moved), Nextflow and redun
    (path, size and time), doit (digests are taken only when the time moved) and DVC's state (inode, size and
    time). Bazel, Nix and AiiDA read or copy their inputs; DataLad sees it if git does.
    """
    for path in [*(narrow.root / "raw").iterdir(), *(narrow.root / "calib").iterdir()]:
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    narrow.run()
    table = narrow.root / "calib" / "geometry_table.fits"
    _assert_remembered(narrow, table)

    _edit_in_place(table)
    summary = narrow.run()

    ran = {step.partition(":")[0] for step in did(summary, Did.RAN)}
    assert {"twilight", "scibasic"} <= ran
    assert not ran & {"bias", "flat", "wave", "lsf"}


def test_a_product_edited_in_place_with_size_and_time_put_back_is_seen(narrow: Workspace) -> None:
    """A master bias in the store, with its mode put back too. Promise 4.

    Not seen by make, doit, Snakemake, Nextflow and redun, for the same reasons as with a calibration; nor by
    AiiDA, whose repository is verified on demand only.
    """
    made = narrow.run(Stage.BIAS).products[0]
    stored = narrow.object_of(made)
    assert did(narrow.run(Stage.BIAS), Did.HIT)

    _edit_in_place(stored)
    summary = narrow.run(Stage.BIAS)

    assert did(summary, Did.RAN) == [f"bias:{made.unit}"]
    assert "edited" in summary.events[0].why[0]
    assert summary.products[0].data_digest == made.data_digest


def test_a_default_that_differs_between_two_images_is_seen_and_named(narrow: Workspace) -> None:
    """The parameter is set by nobody; the recipe of the newer image clips at 4 sigma instead of 3.

    No peer sees it: what a tool does by default is in no key of theirs. Those that go by the digest of an
    image (Bazel, Nix, DataLad) run again since the image is another, and cannot tell what is.
    """
    for digest in (IMAGE, OTHER_IMAGE):
        narrow.library = install_image(narrow.root / "registry", digest)
    newer = [replace(p, value="4") if p.option == "lsigma" else p for p in parameters_of("muse_bias")]
    dump = narrow.library.find(OTHER_IMAGE).archive.with_name("parameters") / "muse_bias.json"
    dump.write_text(parameters_to_json(tuple(newer)))

    narrow.configure(f'[image]\nreference = "{IMAGE}"\n')
    old = _bias_action(narrow)
    narrow.configure(f'[image]\nreference = "{OTHER_IMAGE}"\n')
    new = _bias_action(narrow)
    narrow.configure(f'[image]\nreference = "{OTHER_IMAGE}"\n[recipes.muse_bias]\nlsigma = 3.0\n')
    written_out = _bias_action(narrow)

    moved = Changed(Field.PARAMETER, "muse.muse_bias.lsigma", "3", "4")
    image = Changed(Field.IMAGE, "", IMAGE, OTHER_IMAGE)
    assert len({action.key for action in (old, new, written_out)}) == 3
    assert set(differences(old, new)) == {image, moved}
    assert set(differences(old, written_out)) == {image}


def _bias_action(workspace: Workspace) -> Action:
    with workspace.open() as reduction:
        found = next(f for f in reduction.forecast() if f.step.stage is Stage.BIAS)
        assert found.job is not None
        return found.job.action


def _assert_remembered(workspace: Workspace, path: Path) -> None:
    """Make sure that nothing but its status would have it read again."""
    with workspace.open() as reduction:
        assert reduction.known_digest(path) is not None


def _edit_in_place(path: Path) -> None:
    """Change a byte of the data without a new inode, size, time of content or mode."""
    time.sleep(0.02)  # a tick of the kernel's clock, so that the change has a time of its own
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-2880, os.SEEK_END)
        byte = file.read(1)
        file.seek(-2880, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(before.st_mode & 0o7777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    after = path.stat()
    same = ("st_ino", "st_size", "st_mtime_ns", "st_mode")
    assert all(getattr(before, name) == getattr(after, name) for name in same)
