"""Who makes an action: one, and the others wait."""

import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provenance.claims import LeaseTerms, claim, claimed, sweep
from provenance.errors import StoreLocked

KEY = "a" * 64


def test_a_claim_nobody_has_is_had_at_once(tmp_path: Path) -> None:
    with claim(tmp_path, KEY) as waited:
        assert waited is False
        assert claimed(tmp_path) == (KEY,)
    assert claimed(tmp_path) == ()


def test_claims_on_different_actions_do_not_meet(tmp_path: Path) -> None:
    with claim(tmp_path, KEY), claim(tmp_path, "b" * 64) as waited:
        assert waited is False


def test_the_second_comer_waits_and_is_told(tmp_path: Path) -> None:
    events: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with claim(tmp_path, KEY) as waited:
            events.append(f"second waited: {waited}")

    with claim(tmp_path, KEY):
        thread = threading.Thread(target=second)
        thread.start()
        started.wait()
        time.sleep(0.2)
        events.append("first done")
    thread.join()

    assert events == ["first done", "second waited: True"]


def test_waiting_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()

    def wait() -> str:
        with pytest.raises(StoreLocked) as caught, claim(tmp_path, KEY, cancel=cancel):
            raise AssertionError("two hold one claim")
        return str(caught.value)

    with claim(tmp_path, KEY), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        time.sleep(0.2)
        assert not waiting.done()
        cancel.set()

        expected = "stopped waiting for action aaaaaaaaaaaa, made by another process"
        assert waiting.result(timeout=5) == expected


def test_a_claim_is_released_when_its_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claim(tmp_path, KEY):
        raise ZeroDivisionError

    with claim(tmp_path, KEY) as waited:
        assert waited is False


def test_a_claim_of_somebody_who_died_before_he_wrote_his_name_is_free_again(tmp_path: Path) -> None:
    """Promise 1: killed at any instant, also between making the file and writing into it."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / KEY).touch()
    began = time.monotonic()

    with claim(tmp_path, KEY) as waited:
        assert waited is True
        assert time.monotonic() - began < 30
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_sweep_takes_the_claims_of_the_dead_and_leaves_those_of_the_living(tmp_path: Path) -> None:
    """Promise 1: a run killed after its record was written leaves a claim that nobody asks for again."""
    script = (
        "import os, sys; from pathlib import Path; from provenance.claims import claim\n"
        "held = claim(Path(sys.argv[1]), 'b' * 64); held.__enter__(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    with claim(tmp_path, KEY):
        assert claimed(tmp_path) == (KEY, "b" * 64)

        sweep(tmp_path)

        assert claimed(tmp_path) == (KEY,)
    sweep(tmp_path)
    assert claimed(tmp_path) == ()


def test_a_sweep_takes_a_claim_without_a_name_that_nobody_asks_for_again(tmp_path: Path) -> None:
    """Promise 1: its owner died before he wrote his name, and the action is known by now."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / KEY).touch()

    sweep(tmp_path)

    assert list((tmp_path / "claims").iterdir()) == []


@pytest.mark.parametrize("kind", ["break", "restore", "empty"])
@pytest.mark.parametrize("text", ["", f"1\n{socket.gethostname()}\n"])
def test_a_sweep_takes_what_the_dead_moved_aside(tmp_path: Path, kind: str, text: str) -> None:
    """Promise 1: a process may die while it takes over the claim of another that died."""
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    (tmp_path / "claims").mkdir()
    for pid in (dead.stdout.strip(), str(os.getpid())):
        (tmp_path / "claims" / f"{KEY}.{kind}.{pid}.{'0' * 32}").write_text(text)

    sweep(tmp_path)

    assert [path.name for path in (tmp_path / "claims").iterdir()] == [
        f"{KEY}.{kind}.{os.getpid()}.{'0' * 32}"
    ]


def test_a_sweep_leaves_what_another_host_moved_aside(tmp_path: Path) -> None:
    aside = tmp_path / "claims" / f"{KEY}.break.{2**22 + 1}.{'0' * 32}"
    aside.parent.mkdir()
    aside.write_text("4194305\na-host-that-is-not-this-one\n")

    sweep(tmp_path)

    assert aside.exists()


def test_other_terms_are_refused(tmp_path: Path) -> None:
    with (
        claim(tmp_path, KEY, LeaseTerms(300, 30)),
        pytest.raises(StoreLocked, match="is claimed on other terms"),
        claim(tmp_path, KEY, LeaseTerms(60, 6)),
    ):
        raise AssertionError("two hold one claim")


def test_no_two_threads_hold_a_claim_at_once(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with claim(tmp_path, KEY):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1
