"""How runs, products and reasons read on screen: each a sequence of lines, plain text, widest things last."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.cli.output import in_words, seconds

if TYPE_CHECKING:
    from pipeline.reasons import Comparison
    from pipeline.report import FrameReport, PastVerdict, ProductReport, RunReport
    from pipeline.why import Now, Past, Reason
    from provenance.acceptances import Acceptance
    from provenance.documents import Pairs
    from provenance.model import Choice, InputFile, OutputFile, Run

FEW_QC = 8
"""QC parameters that are shown of a product unless all are asked for."""
FEW_READERS = 10
"""Steps that are named as readers of a file unless all are asked for."""
FEW_VERDICTS = 3
"""Verdicts on a run that are shown, the newest."""
_WIDTH = 12
"""Columns of a label."""

Lines = Iterator[str]


def run_lines(report: "RunReport", *, everything: bool, qc: bool = True) -> Lines:
    """Describe a run in full.

    Parameters
    ----------
    report : RunReport
        The run.
    everything : bool
        Parameters at their default too, all QC parameters, environment, isolation and host.
    qc : bool
        Show QC parameters, without `everything` of one product of each tag.
    """
    run = report.run
    yield f"run {run.run}"
    yield from _outcome(report)
    yield from _machinery(report)
    yield from _parameters(report, everything)
    yield from _block("inputs", (_input(item) for item in run.inputs))
    yield from _block("products", (_output(item) for item in run.outputs))
    yield from _block("associations", (line for choice in run.choices for line in _choice(choice)))
    if qc:
        for item in run.outputs if everything else _first_of_tags(run.outputs):
            yield from _qc(item, everything)
    if everything:
        for title, pairs in (
            ("environment", run.environment),
            ("isolation", run.isolation),
            ("host", run.host),
            ("software", run.software),
        ):
            yield from _block(title, _pairs(pairs))
        yield from _block("command in the image", [" ".join(run.argv)] if run.argv else [])


def product_lines(report: "ProductReport", *, everything: bool) -> Lines:
    """Describe a product, then the run that made it."""
    item = report.file
    yield f"product {item.tag} {item.name}"
    yield _labelled("digest", item.digest)
    if item.data_digest:
        yield _labelled("data digest", item.data_digest)
    yield _labelled("size", _size(item.size))
    lost = "" if report.is_there else " (not there: `clio run` makes it again)"
    if report.pruned_at:
        lost = f" (pruned {report.pruned_at}: `clio restore {digits(item.digest)}` brings it back)"
    yield _labelled("lies at", f"{report.path}{lost}")
    for mark in report.taints:
        yield _labelled("tainted", mark.words)
    for pin in report.pins:
        why = f": {pin.said.reason}" if pin.said.reason else ""
        yield _labelled("pinned", f"{pin.said.at}{why}")
    for run in report.also_made_by:
        yield _labelled("also from", f"run {run}")
    yield from _readers(report.read_by, everything)
    yield from _qc(item, everything)
    yield "made by"
    yield from run_lines(report.made, everything=everything, qc=False)


def frame_lines(report: "FrameReport", *, everything: bool) -> Lines:
    """Describe a file from outside."""
    item = report.file
    yield f"frame {item.tag} {item.name}, from outside: no run of this store made it"
    yield _labelled("digest", item.digest)
    if item.data_digest:
        yield _labelled("data digest", item.data_digest)
    if item.size is not None:
        yield _labelled("size", _size(item.size))
    if item.seen_at:
        yield _labelled("seen at", item.seen_at)
    for mark in report.taints:
        yield _labelled("tainted", mark.words)
    yield from _readers(report.read_by, everything)


def reason_lines(reason: "Reason", *, has_plan: bool, everything: bool) -> Lines:
    """Say why a step ran, or will.

    Parameters
    ----------
    reason : Reason
        The step.
    has_plan : bool
        Whether it can be told what would happen now.
    everything : bool
        Every card and package that differs.
    """
    yield reason.step
    if reason.last is None:
        yield _labelled("last call", "it never came up")
    else:
        yield from _past("last call", reason.last, reason.last.outcome, everything)
    if reason.ran is not None:
        outcome = "" if reason.ran.outcome == "ran" else "failed"
        yield from _past("last ran", reason.ran, outcome, everything)
    if reason.now is not None:
        yield from _now(reason.now, everything)
    elif has_plan:
        yield _labelled("now", "not in the plan: its frames are gone, or the settings leave it out")
    for accepted in reason.accepted:
        yield _labelled("accepted", acceptance_words(accepted).removeprefix("accepted: "))


def acceptance_words(acceptance: "Acceptance") -> str:
    """Say what was accepted, when and why, and whether it still holds."""
    said, back = acceptance.said, acceptance.revoked
    taken_back = f"; taken back {back.at}{f': {back.reason}' if back.reason else ''}" if back else ""
    return f"accepted: {said.reason} ({'; '.join(said.differences)}; {said.at}{taken_back})"


def in_bytes(size: int | None) -> str:
    """Write a size for people.

    Examples
    --------
    >>> in_bytes(71_726_400)
    '71.7 MB'
    """
    if size is None:
        return "-"
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def digits(digest: str) -> str:
    """Shorten a digest to what is shown of it."""
    return digest.rpartition(":")[2][:12]


def counted(count: int, noun: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "warning"), counted(2, "step")
    ('1 warning', '2 steps')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def span(seconds_: int) -> str:
    """Write a distance in time for people.

    Examples
    --------
    >>> span(5708)
    '1.6 h'
    """
    if seconds_ < 90:
        return f"{seconds_} s"
    if seconds_ < 90 * 60:
        return f"{seconds_ / 60:.0f} min"
    return f"{seconds_ / 3600:.1f} h" if seconds_ < 48 * 3600 else f"{seconds_ / 86400:.1f} d"


def _outcome(report: "RunReport") -> Lines:
    run = report.run
    yield _labelled("step", report.step)
    purpose = "" if run.purpose.value == "run" else f" ({run.purpose.value})"
    yield _labelled("status", f"{in_words(run.status.value)}{purpose}")
    if report.origin is not None:
        yield _labelled("imported", report.origin.words)
    for mark in report.taints:
        yield _labelled("tainted", mark.words)
    for caveat in run.caveats:
        yield _labelled("caveat", caveat)
    for accepted in report.accepted:
        yield _labelled("accepted", acceptance_words(accepted).removeprefix("accepted: "))
    for said in report.verdicts[:FEW_VERDICTS]:
        yield _labelled("replayed", _verdict(said))
    if run.cause:
        yield _labelled("cause", run.cause)
    if run.reason:
        yield _labelled("reason", run.reason)
    if run.signal is not None or run.exit_status:
        ended = f"signal {run.signal}" if run.signal is not None else f"exit status {run.exit_status}"
        yield _labelled("ended with", ended)
    if run.warnings or run.errors:
        yield _labelled(
            "its log", f"{counted(run.warnings, 'warning')}, {counted(run.errors, 'error')} (--log prints it)"
        )


def _verdict(said: "PastVerdict") -> str:
    challenge = " (challenge)" if said.is_challenge else ""
    why = f": {said.reason}" if said.reason else ""
    on = f" on {said.engine}" if said.engine else ""
    by = f", by clio {said.clio}" if said.clio else ""
    return f"{said.verdict}{challenge} {said.at}{on}{by}{why}"


def _machinery(report: "RunReport") -> Lines:
    run, action = report.run, report.action
    yield _labelled("recipe", action.recipe)
    yield _labelled("image", f"{action.image}, {action.platform}, numerics {action.numerics}")
    engine = dict(run.engine)
    yield _labelled("engine", f"{engine.get('name', 'unknown')} {engine.get('version', '')}".rstrip())
    ended = f" to {run.ended}" if run.ended else ""
    yield _labelled("when", f"{run.started}{ended}, wall {seconds(run.wall_ms)} s")
    cpu = f"{seconds(run.cpu_user_ms)} s user, {seconds(run.cpu_system_ms)} s system"
    yield _labelled("cpu", f"{cpu}, {_threads(run.threads)}")
    limit = f" (limit {in_bytes(run.memory_limit_bytes)})" if run.memory_limit_bytes else ""
    yield _labelled("memory", f"{in_bytes(run.peak_memory_bytes)} at most{limit}")
    yield _labelled("clock", f"{run.clock_mode} at {run.clock_at}" if run.clock_at else run.clock_mode)
    yield _labelled("action", run.action)


def _threads(count: int | None) -> str:
    return "threads unknown" if count is None else counted(count, "thread")


def _parameters(report: "RunReport", everything: bool) -> Lines:
    changed = {name for name, _ in report.changed}
    total, origins = len(report.action.parameters), dict(report.run.origins)

    def marked_of(name: str, value: str) -> tuple[str, str]:
        by = origins.get(name.rpartition(".")[2], "") if name in changed else "default"
        return name, f"{value} ({by})" if by else value

    if everything:
        marked = (marked_of(*pair) for pair in report.action.parameters)
        yield from _block(f"parameters ({total})", _pairs(marked))
    else:
        title = f"parameters not at their default ({len(changed)} of {total}; --all shows the rest)"
        yield from _block(title, _pairs(marked_of(*pair) for pair in report.changed) if changed else ["none"])


def _qc(item: "OutputFile", everything: bool) -> Lines:
    chosen = item.qc if everything else few_qc(item.qc)
    title = f"QC of {item.name} ({len(item.qc)})"
    if len(chosen) < len(item.qc):
        title = f"QC of {item.name} ({len(chosen)} of {len(item.qc)}; --all shows the rest)"
    yield from _block(title, _pairs(chosen))


def few_qc(qc: "Pairs") -> "Pairs":
    """Choose the QC parameters that say something about the whole: those without a number in their name."""
    whole = [pair for pair in qc if not any(character.isdigit() for character in pair[0])]
    return tuple((whole or list(qc))[:FEW_QC])


def _input(item: "InputFile") -> str:
    seen = f"  {item.seen_at}" if item.seen_at else ""
    return f"{item.tag:16} {digits(item.digest)}  {item.name}{seen}"


def _output(item: "OutputFile") -> str:
    data = f"  data {digits(item.data_digest)}" if item.data_digest else ""
    return f"{item.tag:16} {digits(item.digest)}{data}  {in_bytes(item.size):>9}  {item.name}"


def _choice(choice: "Choice") -> Lines:
    # The reason tells the distance wherever it was chosen by its distance.
    far = [] if "away" in choice.reason or not choice.distance_s else [f"{span(choice.distance_s)} away"]
    about = [f"level {choice.level}", *far, *([choice.reason] if choice.reason else [])]
    yield f"{choice.tag:16} {choice.name}: {', '.join(about)}"
    for other in choice.rejected:
        yield f"{'':16} not {other}"


def _past(label: str, past: "Past", outcome: str, everything: bool) -> Lines:
    run = f" (run {past.run})" if past.run else ""
    first, *rest = past.why or ("the call that ran it was killed before it could say why",)
    yield _labelled(label, ": ".join(filter(None, (past.when, outcome, f"{first}{run}"))))
    if past.compared is None or not past.compared.causes:
        yield from (_labelled("", why) for why in rest)
    if past.compared is not None:
        yield from _compared(past.compared, past.why, everything)


def _compared(compared: "Comparison", why: tuple[str, ...], everything: bool) -> Lines:
    from pipeline.cli.chains import chain_lines

    failed = "" if compared.is_success else ", which failed"
    against = f"run {compared.run} of {compared.when}{failed}"
    if not compared.causes:
        yield _labelled("", f"it was asked the same as {against}")
        return
    lines = list(chain_lines(compared.causes, everything=everything))
    if lines == list(why):
        yield _labelled("", f"against {against}")
        return
    yield _labelled("", f"against {against}:")
    yield from (_labelled("", f"  {line}") for line in lines)


def _now(now: "Now", everything: bool) -> Lines:
    from pipeline.cli.chains import chain_lines

    found = now.forecast
    words = {"hit": "nothing to do", "miss": "would run", "blocked": "cannot run"}
    if found.outcome.value == "miss" and now.causes:
        head = "waits" if found.roots else "would run"
        against = f", against run {now.against.run} of {now.against.when}" if now.against else ""
        yield _labelled("now", f"{head}{against}:")
        yield from (_labelled("", f"  {line}") for line in chain_lines(now.causes, everything=everything))
        if now.if_unchanged is not None and now.if_unchanged.value == "hit":
            yield _labelled("", "if what it waits for comes out as before, there is nothing to do")
    else:
        first, *rest = found.why
        yield _labelled("now", f"{words[found.outcome.value]}: {first}")
        for why in rest:
            yield _labelled("", why)
    for caveat in found.caveats:
        if caveat not in found.why:
            yield _labelled("caveat", caveat)
    for hint in dict.fromkeys(problem.hint for problem in found.step.problems if problem.hint):
        yield _labelled("hint", hint)


def _readers(runs: "tuple[Run, ...]", everything: bool) -> Lines:
    """Name the steps that read a file, each with the newest run that did."""
    steps: dict[str, str] = {}
    for run in runs:
        steps.setdefault(f"{run.stage}:{run.unit}", run.run)
    shown = list(steps.items()) if everything else list(steps.items())[:FEW_READERS]
    for step, id_ in shown:
        yield _labelled("read by", f"{step} (run {id_})")
    if len(shown) < len(steps):
        yield _labelled("", f"and {counted(len(steps) - len(shown), 'more step')}; --all names them")


def _first_of_tags(items: "tuple[OutputFile, ...]") -> "tuple[OutputFile, ...]":
    found: dict[str, OutputFile] = {}
    for item in items:
        found.setdefault(item.tag, item)
    return tuple(found.values())


def _pairs(pairs: "Iterable[tuple[str, str]]") -> Lines:
    return (f"{name} = {value}" for name, value in pairs)


def _block(title: str, lines: Iterable[str]) -> Lines:
    """Put a title above lines; nothing if there are none."""
    body = list(lines)
    if body:
        yield title
        yield from (f"  {line}" for line in body)


def _size(size: int) -> str:
    return f"{in_bytes(size)} ({size} bytes)" if size >= 1000 else counted(size, "byte")


def _labelled(label: str, text: str) -> str:
    return f"  {label:{_WIDTH}}{text}"
