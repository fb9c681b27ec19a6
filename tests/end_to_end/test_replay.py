"""Replays with the installed command and real recipes: the same bytes in another engine, or it is said."""

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from provenance.check import check
from provenance.store import Store
from tests.end_to_end.commands import CLIO, Done, Reduced, Replayed

Clio = Callable[..., Done]


def sha256sum(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def test_promise_7_a_night_replayed_in_another_engine_has_the_same_bytes(
    replayed_in_docker: Replayed,
) -> None:
    """From raw frames to the combined cube, every product of every step."""
    done = replayed_in_docker.done
    assert done.exit_status == 0, done.stderr
    runs = done.document["runs"]
    products = [product for run in runs for product in run["products"]]

    assert {(run["engine"], run["sameness"], run["challenge"]) for run in runs} == {
        ("docker", "identical", None)
    }
    assert {p["digest"] for p in replayed_in_docker.summary["products"]} <= {p["now"] for p in products}
    assert len(products) > 60


def test_what_show_names_sha256sum_finds(reduced: Reduced, replayed_in_docker: Replayed, clio: Clio) -> None:
    """Of the files of the reduction, and of those that the replay made in its own store."""
    combined = [p for p in replayed_in_docker.summary["products"] if p["stage"] in ("wave", "combine")]
    with Store.open(replayed_in_docker.store) as store:
        made_again = [sha256sum(store.objects.path(product["digest"])) for product in combined]
        damage = check(store)

    shown = [clio("show", p["path"], "--json", cwd=reduced.folder).document["product"] for p in combined]
    assert [product["digest"] for product in shown] == [sha256sum(Path(p["path"])) for p in combined]
    assert made_again == [product["digest"] for product in shown]
    assert damage == ()


def test_asked_to_stop_a_replay_ends_its_recipe_and_leaves_no_scratch(reduced: Reduced) -> None:
    argv = [CLIO, "--verbose", "replay", "bias", "--engine", "bubblewrap"]
    with subprocess.Popen(argv, cwd=reduced.folder, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        begun = running.stderr.readline()
        os.kill(running.pid, signal.SIGINT)
        said = running.stderr.read()

    assert begun.startswith("begun    bias:")
    assert running.returncode == 130, said
    assert "stopped on request" in said
    assert list((reduced.folder / ".clio" / "work").iterdir()) == []
