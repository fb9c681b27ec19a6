"""One call: what the recipe is given, and what is read of what it left."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from builders import frame, write_raw, write_static
from fakes import FakeEngine, Fault, install_image

from pipeline.engine import Ending, RecipeImage
from pipeline.environment import environment
from pipeline.execute import Call, Ran, StagedInput, command, execute, not_run, unfit
from pipeline.fitsdigest import digest_file
from pipeline.host import cores


@pytest.fixture
def image(tmp_path: Path) -> RecipeImage:
    return install_image(tmp_path / "cache").list()[0]


def staged(folder: Path, number: int) -> StagedInput:
    path = write_raw(folder, "BIAS", 60000.0 + number, ifus=(1,))
    found = digest_file(path)
    name = frame("BIAS", 60000.0 + number).arcfile
    return StagedInput("BIAS", name, path, found.digest, found.data_digest, found.size)


@pytest.fixture
def call(tmp_path: Path) -> Call:
    return Call(
        run="run",
        store="store",
        recipe="muse_bias",
        options=(("nifu", "1"),),
        environment=environment(1, "pinned", "linux/amd64"),
        inputs=tuple(staged(tmp_path / "raw", n) for n in range(3)),
        is_clock_frozen=True,
        memory_bytes=10**9,
        timeout_s=60.0,
    )


def executed(call: Call, image: RecipeImage, tmp_path: Path, engine: FakeEngine | None = None) -> Ran:
    work = tmp_path / "work"
    for name in ("in", "out"):
        (work / name).mkdir(parents=True, exist_ok=True)
    engine = engine or FakeEngine()
    engine.prepare(image)
    return execute(call, work, engine, image, threading.Event())


def test_the_command_line_is_that_of_esorex(call: Call) -> None:
    assert command(call) == (
        *("esorex", "--output-dir=.", "--log-dir=.", "--log-file=esorex.log", "--msg-level=off"),
        *("--products-sof=products.json", "--suppress-prefix=TRUE", "muse_bias"),
        *("--nifu=1", "/in/frames.sof"),
    )


def test_inputs_are_mounted_one_by_one_under_their_canonical_names(
    call: Call, image: RecipeImage, tmp_path: Path
) -> None:
    """Promise 2: where a file lies leaves no trace in what the recipe sees."""
    engine = FakeEngine()
    executed(call, image, tmp_path, engine)

    request = engine.seen[0].request
    targets = [f"/in/{item.data_digest[6:18]}/{item.name}" for item in call.inputs]
    assert [mount.target for mount in request.inputs] == ["/in/frames.sof", *targets]
    assert request.inputs[0].source.read_text() == "".join(f"{target} BIAS\n" for target in targets)
    assert (request.memory_bytes, request.timeout_s) == (10**9, 60.0)


@pytest.mark.parametrize("before", [None, b"", b"short", b"/in/000000000000/far.longer.fits BIAS\n" * 9])
def test_the_set_of_frames_is_whole_whatever_an_earlier_run_left(
    call: Call, image: RecipeImage, tmp_path: Path, before: bytes | None
) -> None:
    sof = tmp_path / "work/in/frames.sof"
    sof.parent.mkdir(parents=True)
    if before is not None:
        sof.write_bytes(before)

    executed(call, image, tmp_path)

    lines = [f"{item.target(call.surroundings.inputs)} {item.tag}\n" for item in call.inputs]
    assert sof.read_text() == "".join(lines)
    assert sof.stat().st_mode & 0o777 == 0o644


def test_an_input_that_lies_behind_a_link_is_mounted_itself(
    call: Call, image: RecipeImage, tmp_path: Path
) -> None:
    link = tmp_path / "link.fits"
    link.symlink_to(call.inputs[0].path)
    engine = FakeEngine()
    executed(replace(call, inputs=(replace(call.inputs[0], path=link),)), image, tmp_path, engine)

    assert engine.seen[0].request.inputs[1].source == call.inputs[0].path


def test_what_came_out_is_read(call: Call, image: RecipeImage, tmp_path: Path) -> None:
    ran = executed(call, image, tmp_path)

    assert (ran.result.ending, ran.result.exit_status) == (Ending.EXITED, 0)
    assert [(p.tag, p.name) for p in ran.products] == [("MASTER_BIAS", "MASTER_BIAS-01.fits")]
    assert (ran.faults, ran.changed) == ((), ())
    assert "recipe muse_bias begins" in ran.log
    assert ran.log_path == tmp_path / "work" / "out" / "esorex.log"


def test_a_frozen_clock_stands_at_a_whole_second_and_is_told(
    call: Call, image: RecipeImage, tmp_path: Path
) -> None:
    ran = executed(call, image, tmp_path)

    assert ran.clock is not None
    assert ran.clock.microsecond == 0
    assert dict(ran.environment)["FAKETIME"] == ran.clock.strftime("%Y-%m-%d %H:%M:%S")
    assert ran.products[0].header["DATE"] == ran.clock.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(("asked", "expected"), [(3, 3), (None, cores())], ids=["asked for", "cores"])
def test_a_free_number_of_threads_is_chosen_here_and_told(
    call: Call, image: RecipeImage, tmp_path: Path, asked: int | None, expected: int
) -> None:
    free = replace(call, environment=environment(None, "pinned", "linux/amd64"), threads=asked)

    ran = executed(free, image, tmp_path)

    assert dict(ran.environment)["OMP_NUM_THREADS"] == str(expected)
    assert not_run(free).environment == environment(expected, "pinned", "linux/amd64")


def test_a_clock_that_runs_is_none(call: Call, image: RecipeImage, tmp_path: Path) -> None:
    ran = executed(replace(call, is_clock_frozen=False), image, tmp_path)

    assert ran.clock is None
    assert ran.environment == call.environment


def test_the_log_that_a_death_leaves_is_found(call: Call, image: RecipeImage, tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.fail(Fault.KILLED, "muse_bias")

    ran = executed(call, image, tmp_path, engine)

    assert ran.log_path is not None
    assert ran.log_path.name == ".logfile"
    assert "recipe muse_bias begins" in ran.log
    assert ran.products == ()


def test_a_death_may_leave_no_log(call: Call, image: RecipeImage, tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.fail(Fault.ABORT, "muse_bias")

    ran = executed(call, image, tmp_path, engine)

    assert (ran.log, ran.log_path, ran.result.signal) == ("", None, 6)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault.NO_LIST, "the list of products cannot be read: [Errno 2]"),
        (Fault.LIST_IS_NO_JSON, "the list of products cannot be read: "),
        (Fault.NOT_THERE, "MASTER_BIAS MASTER_BIAS-01.fits was declared but is not there"),
        (Fault.LINK, "MASTER_BIAS MASTER_BIAS-01.fits is no regular file"),
        (Fault.EMPTY, "MASTER_BIAS-01.fits is empty"),
        (Fault.TRUNCATED, "MASTER_BIAS-01.fits is truncated: 2880 bytes are missing from HDU 3"),
    ],
    ids=["no-list", "no-json", "not-there", "link", "empty", "truncated"],
)
def test_a_declared_product_that_cannot_be_taken_is_a_fault(
    call: Call, image: RecipeImage, tmp_path: Path, fault: Fault, text: str
) -> None:
    """Promise 11."""
    engine = FakeEngine()
    engine.fail(fault, "muse_bias")

    ran = executed(call, image, tmp_path, engine)

    assert ran.products == ()
    assert len(ran.faults) == 1
    assert ran.faults[0].startswith(text)


def test_a_product_with_another_name_outside_is_a_fault(
    call: Call, image: RecipeImage, tmp_path: Path
) -> None:
    engine = FakeEngine()
    out = tmp_path / "work" / "out"
    ran = executed(call, image, tmp_path, engine)
    os.link(out / "MASTER_BIAS-01.fits", tmp_path / "elsewhere.fits")

    from pipeline.execute import _irregular

    assert ran.faults == ()
    assert _irregular(out / "MASTER_BIAS-01.fits") == "has more than one name"


def test_a_declared_path_cannot_lead_out_of_the_folder(
    call: Call, image: RecipeImage, tmp_path: Path
) -> None:
    """Promise 9 in small: of a declared path the last part counts."""
    from pipeline.execute import _collect

    (tmp_path / "secret.fits").write_bytes(b"x")
    out = tmp_path / "out"
    out.mkdir()
    (out / "products.json").write_text(json.dumps([{"name": "/out/../secret.fits", "category": "X"}]))

    assert _collect(out) == ((), ("X secret.fits was declared but is not there",))


def test_an_input_written_to_meanwhile_is_noticed(call: Call, image: RecipeImage, tmp_path: Path) -> None:
    """Promise 3."""
    engine = FakeEngine()
    engine.fail(Fault.INPUT_CHANGED, "muse_bias", text="BIAS")

    ran = executed(call, image, tmp_path, engine)

    assert ran.changed == (str(call.inputs[0].path),)


def test_inputs_are_not_written_to(call: Call, image: RecipeImage, tmp_path: Path) -> None:
    """Promise 10."""
    before = [(item.path.stat().st_mtime_ns, item.path.read_bytes()) for item in call.inputs]

    executed(call, image, tmp_path)

    assert [(i.path.stat().st_mtime_ns, i.path.read_bytes()) for i in call.inputs] == before


# What must not be run


def static(folder: Path, tag: str, **how: int) -> StagedInput:
    path = write_static(folder, tag, **how)
    found = digest_file(path)
    return StagedInput(tag, f"{tag}.fits", path, found.digest, found.data_digest, found.size)


def test_a_call_with_whole_inputs_is_fit(call: Call, tmp_path: Path) -> None:
    more = tuple(static(tmp_path / "calib", tag) for tag in ("EXTINCT_TABLE", "FILTER_LIST"))

    assert unfit(replace(call, inputs=(*call.inputs, *more), options=(("filter", "white"),))) == ("", "")


def test_an_input_of_another_size_was_damaged(call: Call) -> None:
    victim = call.inputs[1].path
    victim.write_bytes(victim.read_bytes()[:-2880])

    cause, reason = unfit(call)

    assert cause == "input changed"
    assert reason == (
        f"BIAS {call.inputs[1].name} has {call.inputs[1].size - 2880} bytes where {call.inputs[1].size} were "
        f"expected: {victim} was damaged; run again, and see: clio check --deep"
    )


def test_an_input_given_twice_is_refused(call: Call) -> None:
    twice = replace(call.inputs[0], name="OTHER.fits")

    cause, reason = unfit(replace(call, inputs=(*call.inputs, twice)))

    assert (cause, reason) == ("unproven", "BIAS OTHER.fits was given twice; give it once")


def test_a_static_that_is_not_what_its_tag_says_is_refused(call: Call, tmp_path: Path) -> None:
    wrong = replace(static(tmp_path / "calib", "STD_FLUX_TABLE"), tag="EXTINCT_TABLE")

    cause, reason = unfit(replace(call, inputs=(*call.inputs, wrong)))

    assert cause == "unproven"
    assert reason == f"{wrong.path} is a EXTINCT_TABLE without the column extinction; replace it"


def test_a_filter_that_the_list_lacks_is_refused_where_images_are_made(call: Call, tmp_path: Path) -> None:
    filters = static(tmp_path / "calib", "FILTER_LIST")
    inputs = (*call.inputs, filters)
    wanted = ("filter", "white,Johnson_Q")

    cause, reason = unfit(replace(call, inputs=inputs, options=(wanted,)))
    no_image = replace(call, inputs=inputs, options=(wanted, ("save", "individual")))

    assert cause == "unproven"
    assert reason == (
        f"the filter Johnson_Q is not in the FILTER_LIST {filters.path}; name one of Cousins_R, white under "
        "filter of muse_bias, case counts"
    )
    assert unfit(no_image) == ("", "")


def test_what_was_not_run_has_no_exit_status(call: Call) -> None:
    ran = not_run(call)

    assert (ran.result.ending, ran.result.exit_status, ran.result.signal) == (Ending.EXITED, None, None)
    assert (ran.argv, ran.products, ran.log) == (command(call), (), "")
