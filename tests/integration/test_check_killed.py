"""A deep check that is killed is carried on by the next."""

import signal
import subprocess
import sys
from pathlib import Path

from store_worker import action, make

from provenance.check import examine
from provenance.store import Store

KILLED = """
import os, signal, sys, time
from pathlib import Path
from provenance.check import check
from provenance.store import Store

def listen(progress):
    if progress.files == 20:
        time.sleep(1.1)  # what was read is noted every second
    if progress.files == 30:
        os.kill(os.getpid(), signal.SIGKILL)

check(Store.open(Path(sys.argv[1])), deep=True, listen=listen)
"""


def test_what_was_read_before_the_kill_is_not_read_again(tmp_path: Path) -> None:
    with Store.create(tmp_path / "store") as store:
        for number in range(15):
            make(store, action(number))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "store")], check=False)
    assert killed.returncode == -signal.SIGKILL

    with Store.open(tmp_path / "store") as store:
        found = examine(store, deep=True)
        assert (found.damage, found.carried_on, found.read_files) == ((), 20, 40)
        assert examine(store, deep=True).read_files == found.objects == 60
