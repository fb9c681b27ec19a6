"""Who makes an action: one, and the others wait."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provenance.claims import LeaseTerms, claim, claimed, sweep
from provenance.errors import StoreLocked
from provenance.identity import Owner

KEY = "a" * 64

DIE_HOLDING = """
import os, sys; from pathlib import Path; from provenance.claims import claim
held = claim(Path(sys.argv[1]), sys.argv[2]); held.__enter__(); os._exit(0)
"""


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


def test_a_sweep_takes_the_claims_of_the_dead_and_leaves_those_of_the_living(tmp_path: Path) -> None:
    """Promise 1: a run killed after its record was written leaves a claim that nobody asks for again."""
    subprocess.run([sys.executable, "-c", DIE_HOLDING, str(tmp_path), "b" * 64], check=True)
    with claim(tmp_path, KEY):
        assert claimed(tmp_path) == (KEY, "b" * 64)

        sweep(tmp_path)

        assert claimed(tmp_path) == (KEY,)
    sweep(tmp_path)
    assert claimed(tmp_path) == ()


def test_the_claim_of_the_dead_is_free_at_once(tmp_path: Path) -> None:
    """Promise 1: there is nothing to unlock."""
    subprocess.run([sys.executable, "-c", DIE_HOLDING, str(tmp_path), KEY], check=True)

    with claim(tmp_path, KEY) as waited:
        assert waited is False
    assert list((tmp_path / "claims").iterdir()) == []


def test_of_many_who_find_it_dead_one_has_it(tmp_path: Path) -> None:
    """Promise 1: whoever is slower does not take away what another one made meanwhile."""
    most = 0
    for _ in range(6):
        subprocess.run([sys.executable, "-c", DIE_HOLDING, str(tmp_path), KEY], check=True)
        inside = threading.Semaphore(0)
        ready = threading.Barrier(6)

        def work(ready: threading.Barrier = ready, inside: threading.Semaphore = inside) -> int:
            ready.wait()
            with claim(tmp_path, KEY):
                inside.release()
                found = inside._value
                time.sleep(0.002)
                inside.acquire()
                return found

        with ThreadPoolExecutor(6) as pool:
            most = max(most, *(f.result() for f in [pool.submit(work) for _ in range(6)]))
    assert most == 1


def test_a_claim_without_a_sign_of_life_expires(tmp_path: Path) -> None:
    """Of another host nothing is known, so only time tells."""
    (tmp_path / "claims").mkdir()
    elsewhere = Owner("another-host-1", "0" * 32, os.getpid(), 1)
    (tmp_path / "claims" / KEY).symlink_to(f"1 1 {elsewhere}")
    began = time.monotonic()

    with claim(tmp_path, KEY, LeaseTerms(1, 1)) as waited:
        assert waited is True
    assert 1 <= time.monotonic() - began < 5


def test_a_claim_that_is_kept_alive_does_not_expire(tmp_path: Path) -> None:
    """However short the work of others beside it, each of which claims and lets go."""
    terms = LeaseTerms(3, 1)
    with claim(tmp_path, KEY, terms):
        first = os.lstat(tmp_path / "claims" / KEY).st_mtime_ns
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            with claim(tmp_path, "b" * 64, terms):
                time.sleep(0.05)
        assert os.lstat(tmp_path / "claims" / KEY).st_mtime_ns > first + 10**9


def test_a_claim_that_wants_signs_sooner_than_one_that_is_held_is_given_them(tmp_path: Path) -> None:
    with (
        claim(tmp_path, KEY, LeaseTerms(300, 30)),
        claim(tmp_path, "b" * 64, LeaseTerms(3, 1)),
    ):
        first = os.lstat(tmp_path / "claims" / ("b" * 64)).st_mtime_ns
        time.sleep(1.6)
        assert os.lstat(tmp_path / "claims" / ("b" * 64)).st_mtime_ns > first


def test_a_claim_is_kept_alive_that_begins_while_nothing_is_held(tmp_path: Path) -> None:
    """The thread that gives the signs waits a while for the next one."""
    with claim(tmp_path, KEY, LeaseTerms(300, 30)):
        pass
    with claim(tmp_path, "b" * 64, LeaseTerms(3, 1)):
        first = os.lstat(tmp_path / "claims" / ("b" * 64)).st_mtime_ns
        time.sleep(2.5)
        assert os.lstat(tmp_path / "claims" / ("b" * 64)).st_mtime_ns > first


def test_a_claim_that_was_lost_is_not_released(tmp_path: Path) -> None:
    path = tmp_path / "claims" / KEY
    with claim(tmp_path, KEY):
        path.unlink()
        path.symlink_to(f"300 30 {Owner('another-host-1', '0' * 32, 1, 1)}")

    assert path.is_symlink()


@pytest.mark.parametrize("text", ["", "somebody's notes"])
def test_what_is_no_claim_is_taken_away(tmp_path: Path, text: str) -> None:
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / KEY).write_text(text)

    with claim(tmp_path, KEY) as waited:
        assert waited is False


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
