"""What earlier runs took, as the index tells it."""

from stored import a_run, an_action, commit

from provenance.costs import PastInputs
from provenance.digest import digest_bytes
from provenance.model import ActionInput, InputFile, Purpose, Status
from provenance.store import Store

DIED = "out of memory"


def test_the_newest_runs_of_a_stage_are_told_newest_first(store: Store) -> None:
    for spec in (1, 2, 3):
        peak = spec * 10**9
        commit(store, an_action(spec=spec), b"bias%d" % spec, peak_memory_bytes=peak, wall_ms=spec * 1000)

    found = store.costs("bias", DIED, 2)

    assert [(c.is_success, c.peak_memory_bytes, c.wall_ms) for c in found] == [
        *((True, 3 * 10**9, 3000), (True, 2 * 10**9, 2000)),
    ]
    assert found[0].parameters == (("muse.muse_bias.nifu", "1"), ("muse.muse_bias.overscan", "vpoly"))
    assert found[0].inputs == (PastInputs("BIAS", 1, 11),)
    assert store.costs("flat", DIED, 2) == ()


def test_inputs_are_counted_and_summed_by_tag(store: Store) -> None:
    inputs = tuple(
        InputFile(tag, f"{tag}{n}.fits", digest_bytes(f"{tag}{n}".encode()), size=size)
        for tag, n, size in (("BIAS", 1, 10), ("BIAS", 2, 20), ("BADPIX_TABLE", 1, 5))
    )
    commit(
        store,
        an_action(inputs=tuple(ActionInput(i.tag, i.name, "fits1:" + "2" * 64) for i in inputs)),
        *(b"bias",),
        inputs=inputs,
    )

    assert store.costs("bias", DIED, 9)[0].inputs == (
        PastInputs("BADPIX_TABLE", 1, 5),
        PastInputs("BIAS", 2, 30),
    )


def test_of_runs_that_failed_only_those_that_ran_out_of_memory_are_told(store: Store) -> None:
    action = an_action()
    for cause in ("recipe error", DIED):
        fields = {"status": Status.FAILED, "exit_status": 1, "cause": cause, "peak_memory_bytes": 7}
        store.commit(action, a_run(action, store.new_run_id(), **fields))

    (found,) = store.costs("bias", DIED, 9)

    assert (found.is_success, found.peak_memory_bytes) == (False, 7)


def test_replays_and_passports_do_not_count(store: Store) -> None:
    """They may run under an emulator, which takes other memory and other time."""
    commit(store, an_action(), b"bias", purpose=Purpose.REPLAY)

    assert store.costs("bias", DIED, 9) == ()
