"""One suite for all engines: what a recipe can see, touch and cost, and how each ending is told."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.engine import Ending, Engine, EngineRequest, EngineResult, Mount, RecipeImage, Surroundings
from pipeline.engines import ENGINES, open_engine, probe
from pipeline.engines.bubblewrap import BubblewrapEngine
from pipeline.engines.docker import DockerEngine
from pipeline.errors import EngineUnavailable, ImageError, UsageError
from pipeline.image import ImageLibrary

PATH = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
ARCFILE = "MUSE.2017-06-14T10:01:02.345.fits"

Eventually = Callable[[Callable[[], bool], float], bool]


class Bench:
    """Runs programs in one engine, each in an output directory of its own."""

    def __init__(self, engine: Engine, image: RecipeImage, directory: Path) -> None:
        self.engine = engine
        self.image = image
        self.directory = directory
        self.store = f"test-{uuid4().hex[:12]}"

    def request(self, *argv: str, **fields: object) -> EngineRequest:
        out = self.directory / f"out-{uuid4().hex[:8]}"
        out.mkdir()
        plain = EngineRequest(
            run=f"run-{uuid4().hex[:8]}",
            store=self.store,
            argv=argv,
            environment=(PATH,),
            inputs=(),
            out=out,
            timeout_s=60.0,
        )
        return replace(plain, **fields)  # type: ignore[arg-type]

    def run(self, *argv: str, **fields: object) -> tuple[EngineResult, Path]:
        request = self.request(*argv, **fields)
        return self.engine.run(self.image, request, threading.Event()), request.out

    def shell(self, script: str, **fields: object) -> tuple[EngineResult, Path]:
        return self.run("sh", "-c", script, **fields)


@pytest.fixture
def bench(engine: Engine, image: RecipeImage, tmp_path: Path) -> Bench:
    return Bench(engine, image, tmp_path)


def test_esorex_runs_and_says_its_version(bench: Bench) -> None:
    result, out = bench.shell("esorex --version >version.txt")

    assert (result.ending, result.exit_status, result.signal) == (Ending.EXITED, 0, None)
    assert "ESO Recipe Execution Tool, version 3." in (out / "version.txt").read_text()


def test_environment_is_the_request_and_nothing_else_promise_5(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_RECIPE_DEBUG", "1")
    environment = (PATH, ("B", "two words"), ("A", "x=y"), ("EMPTY", ""))

    _, out = bench.run("dd", "if=/proc/self/environ", "of=environ", environment=environment)

    given = b"".join(f"{name}={value}\0".encode() for name, value in environment)
    assert (out / "environ").read_bytes() == given


def test_network_is_the_loopback_at_most_promise_5(bench: Bench) -> None:
    _, out = bench.shell("cat /proc/net/dev >devices; cat /proc/net/route /proc/net/ipv6_route >routes")

    devices = [line.split(":")[0].strip() for line in (out / "devices").read_text().splitlines()[2:]]
    routes = [line for line in (out / "routes").read_text().splitlines()[1:] if not line.endswith(" lo")]
    # Some kernels put idle tunnel devices into every namespace.
    assert [name for name in devices if name.rstrip("0") not in ("lo", "sit", "tunl", "ip6tnl", "gre")] == []
    assert routes == []


def test_nothing_of_the_host_is_visible_but_what_was_declared_promise_5(bench: Bench) -> None:
    secret, declared = bench.directory / "secret.fits", bench.directory / "declared.fits"
    secret.write_text("secret")
    declared.write_text("declared")

    _, out = bench.shell(
        'cat "$SECRET" >seen; for place in /root /home; do ls -A "$place"; done >homes; '
        'find_in() { for f in "$1"/*; do echo "$f"; done; }; '
        "find_in /in >in; find_in /in/0123456789ab >inputs; cat /proc/self/mountinfo >mounts",
        inputs=(Mount(declared, f"/in/0123456789ab/{ARCFILE}"),),
        environment=(PATH, ("SECRET", str(secret))),
    )

    assert (out / "seen").read_text() == ""
    assert (out / "homes").read_text() == ""
    assert (out / "in").read_text() == "/in/0123456789ab\n"
    assert (out / "inputs").read_text() == f"/in/0123456789ab/{ARCFILE}\n"
    roots = [line.split()[3:5] for line in (out / "mounts").read_text().splitlines()]
    ours = {target for root, target in roots if str(bench.directory) in root}
    assert ours == {"/out", f"/in/0123456789ab/{ARCFILE}"}


def test_inputs_are_read_under_names_with_colons_and_blanks(bench: Bench) -> None:
    frame = bench.directory / "a:b c=1.fits"
    frame.write_text("photons")

    _, out = bench.shell("cat /in/x/*.fits >copy", inputs=(Mount(frame, f"/in/x/{ARCFILE}"),))

    assert (out / "copy").read_text() == "photons"


def test_names_with_commas_are_read_or_refused_in_words(bench: Bench, engine_name: str) -> None:
    frame = bench.directory / "a,ro=1.fits"
    frame.write_text("photons")
    inputs = (Mount(frame, f"/in/x/{ARCFILE}"),)

    if engine_name == "podman":
        with pytest.raises(EngineUnavailable, match=r"Podman cannot mount .*a,ro=1\.fits: it takes a comma"):
            bench.shell("true", inputs=inputs)
    else:
        _, out = bench.shell("cat /in/x/*.fits >copy", inputs=inputs)
        assert (out / "copy").read_text() == "photons"


def test_only_out_and_tmp_can_be_written_promises_5_and_10(bench: Bench) -> None:
    frame = bench.directory / "raw.fits"
    frame.write_text("photons")

    _, out = bench.shell(
        "for place in / /usr/bin /etc /in /in/x /in/x/raw.fits /proc/sys/kernel/domainname /tmp /out; do "
        'target=$place; [ -d "$place" ] && target=$place/probe; '
        '(echo x >>"$target") 2>/dev/null && echo "$place" >>/out/written; done; chmod 777 /in/x/raw.fits',
        inputs=(Mount(frame, "/in/x/raw.fits"),),
    )

    assert (out / "written").read_text().split() == ["/tmp", "/out"]
    assert frame.read_text() == "photons"


def test_program_has_no_privileges_promise_5(bench: Bench) -> None:
    _, out = bench.run("dd", "if=/proc/self/status", "of=status")

    status = dict(line.split(":\t", 1) for line in (out / "status").read_text().splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split()[0] == str(os.getuid())
    assert status["Groups"].split() in ([], [str(os.getgid())])


def test_products_belong_to_the_caller_and_begin_in_out(bench: Bench) -> None:
    _, out = bench.shell("pwd >where; mkdir d; touch d/f")

    assert (out / "where").read_text() == "/out\n"
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in out.rglob("*")}
    assert owners == {(os.getuid(), os.getgid())}
    assert {oct(path.stat().st_mode & 0o777) for path in out.rglob("*")} == {"0o644", "0o755"}


def test_what_a_passport_varies_can_be_set_and_is_said_promise_7(bench: Bench, tmp_path: Path) -> None:
    """Host name, directories, and the user where the engine can map one; files are the caller's anyway."""
    around = Surroundings("elsewhere", (12345, 54321), "/tmp/another/place", "/in/another/place")
    source = tmp_path / "frame"
    source.write_text("read")
    mount = Mount(source, "/in/another/place/frame")

    script = "uname -n >name; id -u >user; id -g >>user; pwd >place; cat /in/another/place/frame >frame"
    result, out = bench.shell(script, surroundings=around, inputs=(mount,))

    said = dict(result.isolation)
    assert (result.ending, result.exit_status) == (Ending.EXITED, 0)
    assert (out / "name").read_text().strip() == said["host name"] == "elsewhere"
    assert (out / "user").read_text().split() == said["user"].split(":")
    assert (out / "place").read_text().strip() == "/tmp/another/place"
    assert (out / "frame").read_text() == "read"
    assert result.cpu_user_ms is not None  # what the keeper noted is found there too
    assert {path.stat().st_uid for path in out.iterdir()} == {os.getuid()}
    if bench.engine.name == "bubblewrap":
        assert said["user"] == "12345:54321"


def test_host_name_and_standard_input_are_the_same_everywhere_promise_2(bench: Bench) -> None:
    result, out = bench.shell("uname -n >name; cat >input")

    assert result.exit_status == 0
    assert (out / "name").read_text() == "clio\n"
    assert (out / "input").read_text() == ""


@pytest.mark.parametrize(
    ("script", "ending", "status", "number"),
    [
        pytest.param("exit 0", Ending.EXITED, 0, None, id="good"),
        pytest.param("exit 3", Ending.EXITED, 3, None, id="status"),
        pytest.param("exit 255", Ending.EXITED, 255, None, id="esorex refuses"),
        pytest.param("kill -SEGV $$", Ending.EXITED, None, 11, id="crash"),
        pytest.param("kill -ABRT $$", Ending.EXITED, None, 6, id="abort"),
        pytest.param("kill -KILL $$", Ending.KILLED, None, 9, id="killed"),
        pytest.param("kill -TERM $$", Ending.KILLED, None, 15, id="terminated"),
    ],
)
def test_ending_is_told_as_it_was(
    bench: Bench, script: str, ending: Ending, status: int | None, number: int | None
) -> None:
    result, _ = bench.shell(script)

    assert (result.ending, result.exit_status, result.signal) == (ending, status, number)


def test_program_that_is_not_there_ends_with_127_and_says_so(bench: Bench) -> None:
    result, out = bench.run("nosuchrecipe")

    assert (result.ending, result.exit_status) == (Ending.EXITED, 127)
    assert "nosuchrecipe" in (out / ".terminal").read_text()


def test_only_products_stay_of_a_good_run_and_last_words_of_a_bad_one(bench: Bench) -> None:
    _, good = bench.shell("echo chatter; touch product")
    _, bad = bench.shell("echo chatter; touch product; echo reason >&2; exit 1")

    assert sorted(path.name for path in good.iterdir()) == ["product"]
    assert sorted(path.name for path in bad.iterdir()) == [".terminal", "product"]
    assert (bad / ".terminal").read_text() == "chatter\nreason\n"


def test_timeout_stops_the_run_and_is_told(bench: Bench) -> None:
    clock = time.monotonic()
    result, out = bench.shell("touch started; exec sleep 60", timeout_s=1.0)

    assert (result.ending, result.exit_status, result.signal) == (Ending.TIMEOUT, None, 9)
    assert time.monotonic() - clock < 10
    assert (out / "started").exists()


def test_cancel_stops_the_run(bench: Bench, eventually: Eventually) -> None:
    request, cancel = bench.request("sh", "-c", "touch started; exec sleep 60"), threading.Event()
    results: list[EngineResult] = []
    thread = threading.Thread(target=lambda: results.append(bench.engine.run(bench.image, request, cancel)))
    thread.start()
    assert eventually((request.out / "started").exists, 20)

    clock = time.monotonic()
    cancel.set()
    thread.join(20)

    assert time.monotonic() - clock < 20  # long before it would have ended
    assert [result.ending for result in results] == [Ending.KILLED]


def test_memory_limit_is_felt_and_told(bench: Bench) -> None:
    result, _ = bench.run("dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1", memory_bytes=100 << 20)

    said = dict(result.isolation)["memory limit"]
    if said.startswith("not applied: "):
        assert result.exit_status == 0
    else:
        assert said == f"{100 << 20} bytes"
        assert result.ending is Ending.OUT_OF_MEMORY


def test_run_within_its_memory_limit_is_left_alone(bench: Bench) -> None:
    result, _ = bench.run("dd", "if=/dev/zero", "of=/dev/null", "bs=20M", "count=1", memory_bytes=200 << 20)

    assert (result.ending, result.exit_status) == (Ending.EXITED, 0)


def test_figures_are_those_of_the_program(bench: Bench) -> None:
    script = "dd if=/dev/zero of=big bs=1M count=30; exec dd if=/dev/zero of=/dev/null bs=200M count=60"

    result, out = bench.shell(script)

    assert (out / "big").stat().st_size == 30 << 20
    assert result.written_bytes is not None
    assert 12100 << 20 > result.written_bytes >= 12000 << 20
    assert result.read_bytes is not None
    assert result.cpu_user_ms is not None
    assert result.cpu_system_ms is not None
    assert 0 < result.cpu_user_ms + result.cpu_system_ms <= 2 * result.wall_ms
    assert result.peak_memory_bytes is not None
    assert 195 << 20 < result.peak_memory_bytes < 260 << 20
    assert result.started < result.ended


def test_many_threads_run_at_once(bench: Bench) -> None:
    requests = [bench.request("sh", "-c", f"sleep 0.5; echo {number} >mine") for number in range(6)]
    results: dict[str, EngineResult] = {}

    def work(request: EngineRequest) -> None:
        results[request.run] = bench.engine.run(bench.image, request, threading.Event())

    threads = [threading.Thread(target=work, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert {results[request.run].exit_status for request in requests} == {0}
    assert [(request.out / "mine").read_text() for request in requests] == [f"{n}\n" for n in range(6)]


def test_many_inputs_are_no_trouble(bench: Bench) -> None:
    frames = []
    for number in range(120):
        frame = bench.directory / f"{number}.fits"
        frame.write_text(f"{number}\n")
        frames.append(Mount(frame, f"/in/{number:012x}/{ARCFILE}"))

    _, out = bench.shell("cat /in/*/* >all", inputs=tuple(frames))

    assert (out / "all").read_text() == "".join(f"{number}\n" for number in range(120))


def test_children_do_not_outlive_the_run(bench: Bench) -> None:
    _, out = bench.shell("(while :; do echo x >>beat; sleep 0.05; done) & sleep 0.3; exit 0")

    size = (out / "beat").stat().st_size
    time.sleep(0.3)
    assert (out / "beat").stat().st_size == size


CALLER = """
    import sys, threading
    from pathlib import Path
    from pipeline.engine import EngineRequest
    from pipeline.engines import open_engine
    from pipeline.image import ImageLibrary

    name, digest, store, out = sys.argv[1:]
    engine = open_engine(name)
    image = ImageLibrary().find(digest)
    request = EngineRequest(
        run="orphan", store=store, argv=("sh", "-c", "while :; do echo x >>beat; sleep 0.05; done"),
        environment=(("PATH", "/usr/bin:/bin"),), inputs=(), out=Path(out), memory_bytes=1 << 30,
    )
    # From a thread that is not the first, as the scheduler does.
    thread = threading.Thread(target=engine.run, args=(image, request, threading.Event()))
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_dies_with_its_caller_promise_1(
    bench: Bench, host: str, eventually: Eventually, number: signal.Signals
) -> None:
    out = bench.directory / "out"
    out.mkdir()
    beat = out / "beat"
    caller = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(CALLER),
            bench.engine.name,
            bench.image.config_digest,
            bench.store,
            str(out),
        ],
        env={**os.environ, "DOCKER_HOST": host, "CONTAINER_HOST": host},
    )
    try:
        assert eventually(beat.exists, 30)
    finally:
        caller.send_signal(number)
        caller.wait(10)

    def is_still() -> bool:
        before = beat.stat().st_size
        time.sleep(0.3)
        return beat.stat().st_size == before

    assert eventually(is_still, 5)
    if isinstance(bench.engine, DockerEngine):
        assert bench.engine.sweep(bench.store) == ("orphan",)
        assert bench.engine.sweep(bench.store) == ()


def test_sweep_leaves_the_containers_of_the_living(bench: Bench, eventually: Eventually) -> None:
    if not isinstance(bench.engine, DockerEngine):
        # Without a daemon nothing outlives its caller, so there is nothing to sweep.
        return
    request = bench.request("sh", "-c", "touch started; sleep 1.5")
    results: list[EngineResult] = []
    thread = threading.Thread(
        target=lambda: results.append(bench.engine.run(bench.image, request, threading.Event()))
    )
    thread.start()
    assert eventually((request.out / "started").exists, 20)

    assert bench.engine.sweep(bench.store) == ()
    thread.join(30)
    assert [result.exit_status for result in results] == [0]


def groups_named(run: str) -> set[Path]:
    hierarchies = [path for path in Path("/sys/fs/cgroup").iterdir() if path.name in ("memory", "pids")]
    return {path for top in hierarchies for path in top.rglob(f"clio-{run}*")}


def test_nothing_is_left_behind_promise_1(bench: Bench, host: str) -> None:
    run = f"run-{uuid4().hex[:8]}"
    bench.shell("exit 0", memory_bytes=1 << 30, run=run)
    bench.shell("kill -KILL $$", memory_bytes=1 << 30, run=run)
    bench.shell("sleep 30", memory_bytes=1 << 30, timeout_s=0.5, run=run)

    assert groups_named(run) == set()
    if host:
        import docker

        api = docker.APIClient(base_url=host, version="auto")
        left = api.containers(all=True, filters={"label": f"clio.store={bench.store}"})
        api.close()
        assert left == []


def test_missing_input_is_refused_and_not_made_promise_10(bench: Bench) -> None:
    gone = bench.directory / "gone.fits"

    with pytest.raises(EngineUnavailable, match=r"the input .*/gone\.fits cannot be given to a run"):
        bench.run("true", inputs=(Mount(gone, "/in/x/gone.fits"),))

    assert not gone.exists()


def test_isolation_is_written_item_by_item(bench: Bench) -> None:
    result, _ = bench.run("true")

    said = dict(result.isolation)
    assert said["network"] == "none"
    assert said["capabilities"] == "none"
    assert said["user"] == f"{os.getuid()}:{os.getgid()}"
    assert said["memory limit"] == "none asked for"
    assert all(value for value in said.values())


def test_image_that_is_not_what_its_digest_says_is_refused_promise_3(
    bench: Bench, library: ImageLibrary, tmp_path: Path
) -> None:
    if isinstance(bench.engine, DockerEngine):
        other = replace(bench.image, config_digest="sha256:" + "1" * 64)
        with pytest.raises(ImageError, match=f"holds the image {bench.image.config_digest}, not sha256:1"):
            bench.engine.prepare(other)
        return
    copy = ImageLibrary(tmp_path / "cache").add_archive(bench.image.archive)
    prepared = open_engine(bench.engine.name)
    prepared.prepare(copy)
    sif = copy.rootfs.with_name("apptainer") / "image.sif"
    (sif if sif.exists() else copy.rootfs / "usr/bin/esorex").chmod(0o700)

    with pytest.raises(ImageError, match=r"is not what was (unpacked|made) from the image archive") as caught:
        open_engine(bench.engine.name).prepare(copy)
    # A reduction takes hours: what ran must be what the digest names from its first run to its last.
    with pytest.raises(ImageError, match=r"is not what was (unpacked|made) from the image archive"):
        prepared.run(copy, bench.request("true"), threading.Event())
    removed = sif.parent if sif.exists() else copy.rootfs
    again = "made" if sif.exists() else "unpacked"
    assert caught.value.hint == f"remove {removed}; it is {again} again from the archive beside it"


def test_open_engine_refuses_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="there is no engine 'podmann'") as caught:
        open_engine("podmann")

    assert caught.value.hint == "engine is one of auto, docker, podman, bubblewrap, apptainer"


def test_daemon_that_does_not_answer_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    with pytest.raises(EngineUnavailable) as caught:
        open_engine("docker")

    assert caught.value.message.startswith("no container daemon answers at unix:///nowhere/docker.sock: ")
    assert "systemctl start docker" in caught.value.hint


def test_missing_bwrap_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailable, match="there is no `bwrap` in PATH") as caught:
        open_engine("bubblewrap")

    assert "apt-get install bubblewrap" in caught.value.hint


def test_missing_namespaces_are_told_with_what_to_do(
    image: RecipeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(EngineUnavailable, match=r"cannot isolate a program here: .*new namespace") as caught:
        BubblewrapEngine().prepare(image)

    assert "sysctl kernel.unprivileged_userns_clone=1" in caught.value.hint


@pytest.mark.bubblewrap
def test_auto_takes_the_first_that_works(
    open_bubblewrap: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert open_engine("auto").name == "bubblewrap"

    monkeypatch.setenv("PATH", str(tmp_path))
    reasons = r"no engine works here; docker: .*; bubblewrap: .*; apptainer: "
    with pytest.raises(EngineUnavailable, match=reasons):
        open_engine("auto")


@pytest.mark.bubblewrap
def test_probe_runs_esorex_in_what_works_and_explains_the_rest(
    open_bubblewrap: Engine, image: RecipeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    found = {status.name: status for status in probe(image)}

    docker, bubblewrap = found["docker"], found["bubblewrap"]
    assert tuple(found) == ENGINES
    assert not docker.works
    assert docker.reason.startswith("no container daemon answers at unix:///nowhere/docker.sock")
    assert docker.install
    assert bubblewrap.works
    assert bubblewrap.start_ms is not None
    assert (bubblewrap.reason, bubblewrap.install) == ("", "")
