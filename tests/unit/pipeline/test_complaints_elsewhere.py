"""What people complain about in other workflow and provenance systems, each as a test of what Clio does.

Named after the issue, or one of several, that tells of it. What of the key other systems do not see stands
in `test_key_peers.py`; what is left behind by those who die, in `tests/faults/`.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from builders import card, hdu, static_bytes, write_raw, write_static
from fakes import DIGEST, Fault, Workspace, did, install_image

from pipeline.again import Workshop
from pipeline.errors import Exit, ImageError, UsageError
from pipeline.events import Did
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.pruning import Pruning
from pipeline.summary import Summary
from provenance.check import DamageKind, check
from provenance.model import Action, ActionInput, Run

BIAS, FLAT = "2023-02-25T14:24:00", "2023-02-25T14:52:48"
STD = "2023-02-26T00:00:00.000"


def edit_unseen(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Edit a file in place and put size and time of change back, as far as anybody can."""
    before = path.stat()
    content = change(path.read_bytes())
    assert len(content) == before.st_size
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def last_bit(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def runs_of(summary: Summary) -> dict[str, Run]:
    return {event.step.id: event.run for event in summary.events if event.run is not None}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Summary]:
    """A night that was reduced to its end, to be looked at and not changed."""
    made = Workspace.make(tmp_path_factory.mktemp("done") / "galaxy", ifus=(1,))
    return made, made.run()


# Ran again for nothing


def _in_another_order(workspace: Workspace) -> None:
    for number, path in enumerate(sorted((workspace.root / "raw").iterdir(), reverse=True)):
        path.rename(path.with_name(f"{number:03}.fits"))


def _written_again(workspace: Workspace) -> None:
    for path in (workspace.root / "raw").iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


def _comments_and_defaults(workspace: Workspace) -> None:
    workspace.configure("# a remark\n\n[recipes.muse_bias]\n# the default, written out\nnkeep = 1\n")


def _more_memory_and_time(workspace: Workspace) -> None:
    workspace.configure("[clio]\nmemory_gb = 64\ntimeout_min = 600\njobs = 7\n")


FOR_NOTHING = {
    "unsorted inputs: nf-core/mag#280, mirar#501": _in_another_order,
    "written again with equal content: scE2G#112": _written_again,
    "comments and defaults: snakemake#1694": _comments_and_defaults,
    "more memory and time: nextflow#1629": _more_memory_and_time,
}


@pytest.mark.parametrize("change", FOR_NOTHING.values(), ids=FOR_NOTHING)
def test_nothing_runs_again_for_nothing(narrow: Workspace, change: Callable[[Workspace], None]) -> None:
    """People turn checks off for ever when they cry wolf. Promise 2."""
    narrow.run(Stage.BIAS, Stage.FLAT)
    change(narrow)

    assert narrow.run(Stage.BIAS, Stage.FLAT).ran == 0


def test_aiida_6215_our_own_version_is_recorded_and_no_part_of_a_key(
    done: tuple[Workspace, Summary],
) -> None:
    """An update of the program made all that was known unknown; here a number raised by hand does."""
    workspace, summary = done
    run = runs_of(summary)[f"bias:{BIAS}:01"]

    with workspace.open() as reduction:
        action = reduction.store.action(run.action)
    clio = dict(run.software)["clio"]
    assert clio not in json.dumps(action.document())
    assert replace(action, spec=action.spec + 1).key != action.key


# Did not run again and should have


def test_a_static_calibration_replaced_by_another_with_an_older_date_is_seen(narrow: Workspace) -> None:
    """Not seen where only newer files count: make, Snakemake's time of change, PypeIt ("file exists")."""
    last = (Stage.BIAS, Stage.FLAT, Stage.WAVE)
    narrow.run(*last)
    path = write_static(narrow.root / "calib", "LINE_CATALOG", seed=4)
    os.utime(path, (0, 0))

    assert did(narrow.run(*last), Did.RAN) == ["wave:2023-02-25T15:21:36:01"]


def _action_of(workspace: Workspace, summary: Summary, id_: str) -> Action:
    with workspace.open() as reduction:
        return reduction.store.action(runs_of(summary)[id_].action)


def _lookup(workspace: Workspace, action: Action) -> str:
    with workspace.open() as reduction:
        return reduction.store.lookup(action.key).reason


def test_the_order_of_inputs_is_part_of_the_key(done: tuple[Workspace, Summary]) -> None:
    """mirar#501: another order gave 1 % more flux elsewhere. Not seen by Snakemake, DVC and DataLad."""
    workspace, summary = done
    action = _action_of(workspace, summary, f"bias:{BIAS}:01")

    assert _lookup(workspace, replace(action, inputs=action.inputs[::-1])) == "never run"


def test_nextflow_4106_the_name_under_which_a_recipe_sees_a_file_counts(
    done: tuple[Workspace, Summary],
) -> None:
    """Another name for the same bytes was a hit; recipes write names into headers."""
    workspace, summary = done
    action = _action_of(workspace, summary, f"bias:{BIAS}:01")
    first, *others = action.inputs
    renamed = ActionInput(first.tag, "another.fits", first.content)

    assert _lookup(workspace, replace(action, inputs=(renamed, *others))) == "never run"


def test_a_tag_that_moves_is_seen(narrow: Workspace) -> None:
    """A frame that turns into one of another tag, with name, size and time kept. Not seen by Nextflow."""
    narrow.run(Stage.BIAS, Stage.FLAT)
    write_raw(narrow.root / "raw", "FLAT", 60000.6245, start=60000.62, ifus=(1,))
    narrow.run(Stage.BIAS, Stage.FLAT)
    edit_unseen(narrow.raw("FLAT")[0], _into_an_illum)

    again = narrow.run(Stage.BIAS, Stage.FLAT)

    assert did(again, Did.RAN) == [f"flat:{FLAT}:01"]
    assert len([tag for tag, _ in narrow.engine.seen[-1].names if tag == "FLAT"]) == 3


def _into_an_illum(content: bytes) -> bytes:
    types = ("FLAT,LAMP", "FLAT,LAMP,ILLUM")
    lamp, illum = (card("ESO DPR TYPE", type_) for type_ in types)
    return content.replace(lamp, illum, 1)


def test_bazel_3360_an_input_that_changes_during_the_run_does_not_poison_the_store(
    narrow: Workspace,
) -> None:
    """Outcomes of bytes nobody hashed were stored under the key of others; here such a run is none."""
    narrow.engine.fail(Fault.INPUT_CHANGED, "muse_bias", text="BIAS", times=1)
    first = narrow.run(Stage.BIAS)

    assert first.failed == 1
    assert runs_of(first)[f"bias:{BIAS}:01"].outputs == ()
    assert narrow.run(Stage.BIAS).ran == 1


def test_bazel_4276_a_disk_that_is_full_is_a_failure_whatever_the_exit_status(narrow: Workspace) -> None:
    """A full disk and exit status 0 became a hit; here products are proven. Promise 11."""
    narrow.engine.fail(Fault.EMPTY, "muse_bias", times=1)

    assert narrow.run(Stage.BIAS).failed == 1
    assert narrow.run(Stage.BIAS, retry_failed=True).ran == 1


# Hashes and what is trusted


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def test_dvc_3171_frames_are_hashed_once_and_then_remembered(narrow: Workspace) -> None:
    """25 minutes of hashing each time; here the second run reads headers at most."""
    size = 8_000_000
    for path in narrow.raw("BIAS"):
        padding = hdu(
            {"XTENSION": "IMAGE", "BITPIX": 8, "NAXIS": 1, "NAXIS1": size, "PCOUNT": 0, "GCOUNT": 1}
        )
        path.write_bytes(path.read_bytes() + padding + b"\0" * (-(-size // 2880) * 2880))
        os.utime(path, (0, 0))
    narrow.run(Stage.BIAS)
    before = _bytes_read()

    assert narrow.run(Stage.BIAS).hits == 1
    assert _bytes_read() - before < size / 2


def test_nextflow_7579_a_digest_is_that_of_the_bytes(done: tuple[Workspace, Summary]) -> None:
    """A "sha256" that hashed path and date; here `sha256sum` says the same."""
    workspace, summary = done

    for run in runs_of(summary).values():
        for item in run.inputs:
            assert item.seen_at is not None
            assert hashlib.sha256(Path(item.seen_at).read_bytes()).hexdigest() == item.digest[7:]
    with workspace.open() as reduction:
        assert check(reduction.store, deep=True) == ()


# Links and lost data


def test_dvc_9641_up_to_date_is_not_said_of_a_product_edited_through_its_link(narrow: Workspace) -> None:
    """`status` said up to date of a corrupt cache; here the next look finds it and it is made again."""
    (made,) = narrow.run(Stage.BIAS).products
    made.path.chmod(0o644)
    edit_unseen(made.path, last_bit)
    made.path.chmod(0o444)

    with narrow.open() as reduction:
        damage = check(reduction.store)
        (found,) = (f for f in reduction.forecast() if f.step.stage is Stage.BIAS)
    again = narrow.run(Stage.BIAS)

    assert [(item.kind, item.subject) for item in damage] == [(DamageKind.EDITED, made.digest)]
    assert found.why[0].endswith("was edited")
    assert again.ran == 1
    assert again.products[0].path.read_bytes() == narrow.object_of(again.products[0]).read_bytes()


def test_dvc_10413_raw_frames_stay_the_files_they_were(narrow: Workspace) -> None:
    """Taking data in moved it, and a full disk lost it; here raw data are never written to. Promise 10."""
    raw = {path: path.stat() for path in (narrow.root / "raw").iterdir()}
    narrow.run(Stage.BIAS, Stage.FLAT)

    def facts(found: os.stat_result) -> tuple[int, ...]:
        times = (found.st_mtime_ns, found.st_ctime_ns)
        return (found.st_ino, found.st_nlink, found.st_mode, found.st_size, *times)

    assert {path: facts(path.stat()) for path in raw} == {path: facts(s) for path, s in raw.items()}


def test_snakemake_1027_of_several_products_all_are_published_or_none(narrow: Workspace) -> None:
    """Of a job that failed, some outputs stayed and were taken for made; here it is whole or not at all."""
    narrow.engine.fail(Fault.TRUNCATED, "muse_flat")  # the first of two: the trace table is whole

    narrow.run(Stage.BIAS, Stage.FLAT)

    shown = [path.name for path in (narrow.root / "products").rglob("*.fits")]
    assert shown == ["MASTER_BIAS-01.fits"]


@pytest.mark.parametrize("link", ["auto", "hardlink", "copy", "symlink"])
def test_predector_84_results_are_no_dangling_links(narrow: Workspace, link: str) -> None:
    """Results pointed into a work folder that was cleaned; here they point to what is never cleaned."""
    narrow.configure(f'[clio]\nlink = "{link}"\n')
    (made,) = narrow.run(Stage.BIAS).products

    shutil.rmtree(narrow.root / ".clio" / "work")
    assert made.path.is_file()
    if link != "symlink":  # which says what it is
        shutil.rmtree(narrow.root / ".clio")
        assert hashlib.sha256(made.path.read_bytes()).hexdigest() == made.digest[7:]


# Disk


def test_riboviz_218_what_stays_is_the_products_and_little_more(done: tuple[Workspace, Summary]) -> None:
    """27 GB in, 791 GB in all; here scratch is gone and each product lies once, linked."""
    workspace, summary = done
    store = workspace.root / ".clio"

    assert [path for name in ("work", "tmp") for path in (store / name).iterdir()] == []
    for made in summary.products:
        assert made.path.stat().st_ino == workspace.object_of(made).stat().st_ino or _shares_blocks(made.path)


def _shares_blocks(path: Path) -> bool:
    """Tell whether this file system has reflinks, which are no second copy."""
    done = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True)
    return done.stdout.strip() in ("btrfs", "xfs", "zfs", "bcachefs")


def prune(workspace: Workspace, *, is_proven: bool = True) -> set[str]:
    """Drop all that may go, as a rule proven first; give the digests that went."""
    with workspace.open() as reduction:
        shop = Workshop.of(reduction)
        root, products = workspace.root, reduction.settings.products
        pruning = Pruning(shop, root, products, intermediates=False, keep_hours=0.0, free_bytes=None)
        if is_proven:
            pruning.prove(pruning.to_prove())
        plan = pruning.plan()
        pruning.carry_out(plan)
        return {output.digest for drop in plan.drops for output in drop.objects}


def test_nextflow_668_the_log_of_a_run_stays_when_its_bytes_go(narrow: Workspace) -> None:
    """Cleaning took the logs with the data; here what is dropped keeps its record and its log."""
    run = runs_of(narrow.run(Stage.BIAS))[f"bias:{BIAS}:01"]
    narrow.configure("[recipes.muse_bias]\nnkeep = 2\n")
    narrow.run(Stage.BIAS)

    assert prune(narrow, is_proven=False) == set()  # datalad#6401: verify, mark, then drop
    assert prune(narrow) == {run.outputs[0].digest}
    with narrow.open() as reduction:
        assert reduction.store.run(run.run) == run
        assert run.log is not None
        assert "recipe muse_bias begins" in reduction.store.objects.path(run.log).read_text()
        assert check(reduction.store) == ()


def test_dvc_7610_cleaning_in_one_workspace_leaves_what_another_needs(tmp_path: Path) -> None:
    """One project's cleaning deleted the other's data; here the newest reduction of each stays."""
    made: dict[str, str] = {}
    here, there = (Workspace.make(tmp_path / name, ifus=(1,)) for name in ("here", "there"))
    for workspace, nkeeps in ((there, (5,)), (here, (2, 3))):
        for nkeep in nkeeps:
            settings = f'[clio]\nstore = "{tmp_path / "shared"}"\n[recipes.muse_bias]\nnkeep = {nkeep}\n'
            workspace.configure(settings)
            made[f"{workspace.root.name} {nkeep}"] = workspace.run(Stage.BIAS).products[0].digest

    assert prune(here) == {made["here 2"]}
    assert there.run(Stage.BIAS).hits == 1


# Databases and locks


_DIE_WITH_A_CLAIM = """
import os, signal, sys
from pathlib import Path
from provenance.store import Store

with Store.open(Path(sys.argv[1])) as store, store.claim(sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_snakemake_2919_nobody_has_to_unlock_after_a_kill(narrow: Workspace) -> None:
    """A lock outlives its owner and a person has to remove it; here the next run carries on. Promise 1."""
    with narrow.open() as reduction:
        found = next(f for f in reduction.forecast() if f.step.stage is Stage.BIAS)
    assert found.job is not None
    argv = [sys.executable, "-c", _DIE_WITH_A_CLAIM, str(narrow.root / ".clio"), found.job.action.key]
    died = subprocess.run(argv, cwd=Path(__file__).parents[3], check=False)

    assert died.returncode == -signal.SIGKILL
    assert narrow.run(Stage.BIAS).ran == 1


def test_lightcone_79_a_database_that_is_lost_or_broken_costs_nothing(narrow: Workspace) -> None:
    """SQLite on a shared disk is locked or corrupt and all is lost; here it is an index. Promise 8."""
    narrow.run(Stage.BIAS)
    database = narrow.root / ".clio" / "provenance.db"
    for path in database.parent.glob("provenance.db*"):
        path.unlink()
    database.write_bytes(b"SQLite format 3\0" + b"?" * 5000)

    assert narrow.run(Stage.BIAS).hits == 1
    with narrow.open() as reduction:
        assert len(reduction.store.runs(stage="bias")) == 1


# Containers


def test_vault_unseal_78_a_tag_is_refused_as_it_may_move(narrow: Workspace) -> None:
    """The image behind a tag was another one the next day; here only a digest names an image."""
    narrow.configure('[image]\nreference = "clio:latest"\n')

    with narrow.open() as reduction, pytest.raises(UsageError) as caught:
        reduction.run()

    assert "a tag can be moved" in caught.value.message


def test_nushell_16419_an_image_that_is_gone_ends_with_5_and_changes_nothing(narrow: Workspace) -> None:
    """Images vanish from registries; here it is kept like data, and missed by its digest."""
    narrow.run(Stage.BIAS)
    other = ImageLibrary(install_image(narrow.root / "other", "sha256:" + "c2" * 32).root)
    narrow.library = other
    narrow.configure("[recipes.muse_bias]\nnkeep = 2\n")

    with narrow.open() as reduction, pytest.raises(ImageError) as caught:
        reduction.run()

    assert caught.value.exit_code is Exit.ENGINE
    assert DIGEST[7:19] in caught.value.message
    assert caught.value.hint


# Other numbers elsewhere


def test_muscle_95_the_number_of_threads_is_given_and_part_of_the_key(
    narrow: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results depend on the cores of a machine; here the recipe's row says how many threads. Promise 2."""
    monkeypatch.setenv("OMP_NUM_THREADS", "17")

    run = narrow.run(Stage.BIAS).events[0].run

    assert run is not None
    assert dict(run.environment)["OMP_NUM_THREADS"] == "1"
    with narrow.open() as reduction:
        action = reduction.store.action(run.action)
    assert dict(action.environment)["OMP_NUM_THREADS"] == "1"


# Lost provenance


def test_desispec_2012_which_calibration_was_used_stands_in_the_record(
    done: tuple[Workspace, Summary],
) -> None:
    """It stands only in logs; here a run names the bytes of each, and why it was chosen."""
    _, summary = done
    run = runs_of(summary)["scipost:1001"]

    chosen = {choice.tag: (choice.name, choice.level, choice.reason) for choice in run.choices}
    assert chosen["STD_RESPONSE"] == (STD, 0, "1.2 h away")
    response = next(item for item in run.inputs if item.tag == "STD_RESPONSE")
    (made,) = (o for o in runs_of(summary)[f"standard:{STD}"].outputs if o.tag == "STD_RESPONSE")
    assert response.digest == made.digest


def test_ctapipe_2571_lineage_is_told_by_content_and_survives_a_move(narrow: Workspace) -> None:
    """Inputs are recorded by path, and mean nothing elsewhere; here by digest. Promise 2."""
    run = runs_of(narrow.run(Stage.BIAS))[f"bias:{BIAS}:01"]
    moved = narrow.root.with_name("moved")
    narrow.root.rename(moved)
    narrow.root, narrow.library = moved, ImageLibrary(moved / "cache")

    assert narrow.run(Stage.BIAS).hits == 1
    with narrow.open() as reduction:
        assert [r.run for r in reduction.store.runs_making(run.outputs[0].digest)] == [run.run]
        digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in narrow.raw("BIAS")}
    assert {item.digest[7:] for item in run.inputs} == digests


def test_jwst_7052_reference_data_are_told_apart_by_their_bytes(narrow: Workspace) -> None:
    """Reference files change under one name and version; here the bytes are the version. Promise 3."""
    wave = (Stage.BIAS, Stage.FLAT, Stage.WAVE)
    first = runs_of(narrow.run(*wave))
    path = narrow.root / "calib" / "line_catalog.fits"
    path.write_bytes(static_bytes("LINE_CATALOG", seed=2))
    second = runs_of(narrow.run(*wave))

    catalogs = [
        next(item.digest for item in runs["wave:2023-02-25T15:21:36:01"].inputs if item.tag == "LINE_CATALOG")
        for runs in (first, second)
    ]
    assert len(set(catalogs)) == 2


def test_ciao_contrib_907_versions_are_of_what_ran(done: tuple[Workspace, Summary]) -> None:
    """A version card stayed at an old one; here image, recipe and program are recorded with each run."""
    workspace, summary = done
    run = runs_of(summary)[f"bias:{BIAS}:01"]

    assert dict(run.software)["clio"]
    assert _action_of(workspace, summary, f"bias:{BIAS}:01").image == DIGEST


# EDPS and Reflex


def test_edps_settings_are_read_anew_by_every_call(narrow: Workspace) -> None:
    """A server caches the settings, which "catches almost everyone once"; here there is no server."""
    narrow.run(Stage.BIAS)
    narrow.configure("[recipes.muse_bias]\nnkeep = 2\n")

    assert narrow.run(Stage.BIAS).ran == 1
    assert narrow.engine.seen[-1].options["nkeep"] == "2"


def test_reflex_another_version_of_the_pipeline_is_not_taken_for_this_one(
    done: tuple[Workspace, Summary],
) -> None:
    """Its lazy mode leaves the version of the pipeline out; here the image is part of the key."""
    workspace, summary = done
    action = _action_of(workspace, summary, f"bias:{BIAS}:01")

    assert _lookup(workspace, replace(action, image="sha256:" + "c3" * 32)) == "never run"
