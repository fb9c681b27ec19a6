"""What came of a real frame, what is tainted, and who signed: by the installed command; no recipe runs."""

import shutil
import subprocess
from pathlib import Path

from tests.end_to_end.commands import Reduced, call

STEP = "wave:2026-01-15T16:05:52:02"
"""Made once: of what other tests make again, or replay, a sound twin would clear the taint."""


def test_a_tainted_run_makes_one_step_run_and_names_all_that_waits(reduced: Reduced) -> None:
    """Promise 4; and cleared, all is as it was."""
    folder = reduced.folder
    before = call("plan", "--json", cwd=folder).document["steps"]
    (taint,) = call("taint", STEP, "--reason", "a failing disk", "--json", cwd=folder).document["taints"]
    try:
        plan = call("plan", "--why", "--json", cwd=folder).document
        shown = call("show", "combine", "--json", cwd=folder).document
        traced = call("trace", "--down", STEP, "--format", "table", "--json", cwd=folder).document
    finally:
        cleared = call("taint", "--clear", STEP, "--reason", "it was sound", cwd=folder)
    after = call("plan", "--json", cwd=folder).document["steps"]

    assert cleared.exit_status == 0, cleared.stderr
    cause = plan["causes"][0]  # that of most steps; offsets that were edited may be another
    assert cause["steps"] == [STEP]
    assert cause["text"].endswith("is tainted: a failing disk")
    assert {run["step"] for run in traced["runs"]} >= {STEP, *cause["waiting"]}
    assert taint["newest_runs"] > 1
    assert shown["taints"][0]["through"]
    assert after == before


def test_a_tainted_raw_frame_blocks_what_reads_it(reduced: Reduced) -> None:
    """Promise 6: named as in the archive; the other steps are as they were."""
    folder = reduced.folder
    run = call("show", "sky", "--json", cwd=folder).document
    frame = next(
        item for item in call("scan", "--json", cwd=folder).document["frames"] if item["tag"] == "SKY"
    )
    name = Path(frame["path"]).name
    assert call("taint", name, "--reason", "a cloud", cwd=folder).exit_status == 0
    try:
        steps = call("plan", "--json", cwd=folder).document["steps"]
    finally:
        assert call("taint", "--clear", name, "--reason", "none", cwd=folder).exit_status == 0
    outcomes = {f"{step['stage']}:{step['unit']}": step for step in steps}

    assert outcomes[STEP]["outcome"] == "hit"
    blocked = [step for step in steps if step["outcome"] == "blocked"]
    assert {step["stage"] for step in blocked} >= {"scibasic", "sky", "combine"}
    assert all("is tainted: a cloud" in step["why"][-1] for step in blocked)
    assert run["run"]["status"] in ("ok", "caveat")


def test_one_card_of_a_signed_cube_is_found_and_named(reduced: Reduced, tmp_path: Path) -> None:
    cube = Path(reduced.product("combine", "DATACUBE_FINAL")["path"])
    copy, key = tmp_path / "cube.fits", tmp_path / "key"
    shutil.copyfile(cube, copy)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"ann@example.org {key.with_suffix('.pub').read_text()}")
    signed = call("sign", copy, "--key", key, cwd=reduced.folder)
    sound = call("verify", copy, "--allowed-signers", allowed, cwd=tmp_path)
    with copy.open("r+b") as file:
        at = file.read(2880 * 40).index(b"EXPTIME =") + 29
        file.seek(at)
        file.write(b"9")

    altered = call("verify", copy, "--allowed-signers", allowed, "--json", cwd=tmp_path)

    assert signed.exit_status == 0, signed.stderr
    assert (sound.exit_status, sound.stdout) == (0, f"{copy}: signed by ann@example.org\n")
    assert altered.exit_status == 7
    (what,) = altered.document["signed"][0]["altered"]
    assert what.startswith("HDU 0")
    assert what.endswith("card EXPTIME altered")
