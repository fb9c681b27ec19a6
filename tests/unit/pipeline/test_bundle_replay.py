"""Bundles made again with nothing but themselves, and trust that follows from it (promises 7 and 9)."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bundles import Papers, hex_of, papers_of
from fakes import FakeEngine, Workspace, install_image

from pipeline.again import NotAgreed, Workshop, remake
from pipeline.bundle_replay import Opened, bring_images, descriptions_of, missing, opened_bundle
from pipeline.errors import ImageError
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.replay import Replay, chain, replay
from pipeline.verdict import Sameness
from provenance.digest import canonical_json, digest_file
from provenance.importing import import_bundle
from provenance.model import Purpose, Run
from provenance.store import Store


@pytest.fixture
def flat(narrow: Workspace) -> Run:
    """A master flat of a night that was reduced elsewhere."""
    narrow.run(Stage.BIAS, Stage.FLAT)
    with narrow.open() as reduction:
        return reduction.store.newest_runs("flat")[0]


def papers(narrow: Workspace, run: Run, *, with_raw: bool = True, image: bytes = b"") -> Papers:
    """Bundle the run with all it was made from; then nothing is left where it was seen."""
    held = {}
    for folder in ("raw", "calib"):
        for path in (narrow.root / folder).iterdir():
            held[digest_file(path)] = path.read_bytes()
    with narrow.open() as reduction:
        read = {i.digest for r in reduction.store.runs() for i in r.inputs}
        frames = {digest: data for digest, data in held.items() if digest in read and with_raw}
        made = papers_of(reduction.store, run, frames=frames, image=image)
    shutil.move(narrow.root / "raw", narrow.root / "away")
    return made


def made_again(opened: Opened) -> Replay:
    return replay(replace(opened.workshop, is_agreed=True), opened.links)


def test_everything_is_made_again_from_the_bundle_alone(narrow: Workspace, flat: Run, tmp_path: Path) -> None:
    """Promise 7: in an empty directory, from raw frames, to the byte."""
    bundle = papers(narrow, flat).zip(tmp_path / "b.zip")
    library, engine = install_image(tmp_path / "cache"), FakeEngine()

    with opened_bundle(bundle, engine=engine, library=library) as opened:
        place = opened.workshop.store.path
        lost = missing(opened)
        found = made_again(opened)
        trusted = opened.workshop.store.imports.trusted_count

    assert lost == ()
    assert engine.recipes == ("muse_bias", "muse_flat")
    assert [link.sameness for link in found.links] == [Sameness.IDENTICAL, Sameness.IDENTICAL]
    assert found.unproven == ()
    assert trusted == 2
    assert not place.exists()


def test_what_is_missing_is_named_exactly_and_found_by_content(
    narrow: Workspace, flat: Run, tmp_path: Path
) -> None:
    """Promise 2: under any name."""
    bundle = papers(narrow, flat, with_raw=False).zip(tmp_path / "b.zip")
    library = install_image(tmp_path / "cache")
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    for number, path in enumerate(sorted((narrow.root / "away").iterdir())):
        shutil.copyfile(path, elsewhere / f"{number}.fits")

    with opened_bundle(bundle, engine=FakeEngine(), library=library) as opened:
        lost = missing(opened)
    with opened_bundle(bundle, engine=FakeEngine(), library=library, folders=(elsewhere,)) as opened:
        found = made_again(opened) if not missing(opened) else None

    read = {item.digest: item for item in flat.inputs if item.tag != "MASTER_BIAS"}
    assert {item.tag for item in lost} == {"BIAS", "FLAT"}
    assert all(item.name.startswith("MUSE.20") and item.kind == "raw" for item in lost)
    assert {item.digest for item in lost if item.tag == "FLAT"} == set(read)
    assert all(item.where == "https://archive.eso.org" for item in lost)
    assert found is not None
    assert found.sameness is Sameness.IDENTICAL


def test_a_missing_image_is_named_by_its_digest(narrow: Workspace, flat: Run, tmp_path: Path) -> None:
    bundle = papers(narrow, flat).zip(tmp_path / "b.zip")

    with opened_bundle(bundle, engine=FakeEngine(), library=ImageLibrary(tmp_path / "none")) as opened:
        (lost,) = missing(opened)
        (image,) = opened.images

    assert (lost.kind, lost.digest) == ("image", image)


def test_an_archive_that_holds_no_image_is_refused(narrow: Workspace, flat: Run, tmp_path: Path) -> None:
    bundle = papers(narrow, flat, image=b"no archive").zip(tmp_path / "b.zip")

    with opened_bundle(bundle, engine=FakeEngine(), library=ImageLibrary(tmp_path / "none")) as opened:
        assert missing(opened) == ()
        with pytest.raises(ImageError):
            bring_images(opened.workshop, opened.images, descriptions_of(opened.workshop.store))

    assert ImageLibrary(tmp_path / "none").list() == ()


def test_nothing_imported_runs_before_somebody_agreed(narrow: Workspace, flat: Run, tmp_path: Path) -> None:
    """Promise 9."""
    bundle = papers(narrow, flat).zip(tmp_path / "b.zip")
    engine = FakeEngine()

    with opened_bundle(bundle, engine=engine, library=install_image(tmp_path / "cache")) as opened:
        found = replay(opened.workshop, opened.links)
        run = opened.links[0].run
        with pytest.raises(NotAgreed, match="nothing imported runs by itself"), remake(opened.workshop, run):
            pass

    assert engine.recipes == ()
    assert {link.sameness for link in found.links} == {Sameness.NOT_COMPARABLE}


def test_a_replay_makes_an_imported_run_a_hit(narrow: Workspace, flat: Run, tmp_path: Path) -> None:
    """Promise 9: and the record that is believed is the imported one, not the replay."""
    bundle = papers(narrow, flat).zip(tmp_path / "b.zip")
    library = install_image(tmp_path / "cache")

    with opened_bundle(bundle, into=tmp_path / "kept", engine=FakeEngine(), library=library) as opened:
        before = opened.workshop.store.lookup(flat.action)
        made_again(opened)
        after = opened.workshop.store.lookup(flat.action).run

    assert before.reason == "imported, and neither verified nor trusted"
    assert after == flat
    with Store.open(tmp_path / "kept") as store:
        (replayed,) = store.runs(stage="flat", key=flat.action, limit=1)
        assert replayed.purpose is Purpose.REPLAY
        assert [trust.said.evidence for trust in store.trusts()][-1] == replayed.run


def test_another_outcome_is_not_trusted(narrow: Workspace, flat: Run, tmp_path: Path) -> None:
    bundle = papers(narrow, flat).zip(tmp_path / "b.zip")
    engine = FakeEngine(restless={"muse_flat"})

    with opened_bundle(bundle, engine=engine, library=install_image(tmp_path / "cache")) as opened:
        found = made_again(opened)
        store = opened.workshop.store
        assert not store.imports.doubt(opened.links[0].run)
        assert store.imports.doubt(opened.links[1].run)

    assert found.sameness is Sameness.DIFFERENT


# Records that lie in what a verdict does not see.


def change(made: Papers, run: Run, how: Callable[[dict[str, Any], dict[str, Any]], None]) -> str:
    """Change a record and its action, with all names that follow; give the new key."""
    record = json.loads(made.members.pop(made.record(run.run)))
    action = json.loads(made.members.pop(f"data/actions/{run.action[:2]}/{run.action}.json"))
    how(record, action)
    record["action"] = key = hex_of(canonical_json(action))
    made.members[f"data/actions/{key[:2]}/{key}.json"] = canonical_json(action)
    made.members[f"data/records/{key[:2]}/{key}/{run.run}.json"] = canonical_json(record)
    return key


def another_frame(record: dict[str, Any], action: dict[str, Any]) -> None:
    """Say that the first frame, which has these bytes, is another one."""
    content = "fits1:" + "0" * 64
    record["inputs"][0]["data_digest"] = action["inputs"][0]["content"] = content


def hidden_parameter(record: dict[str, Any], action: dict[str, Any]) -> None:
    """Say that a parameter was set, and that it is a default, so that nobody gives it to the recipe."""
    name = sorted(set(action["parameters"]) & set(record["defaults"]))[0]
    action["parameters"][name] = "7"


def other_data(record: dict[str, Any], action: dict[str, Any]) -> None:
    """Say that the product has the data of something else."""
    record["outputs"][0]["data_digest"] = "fits1:" + "0" * 64


def better_quality(record: dict[str, Any], action: dict[str, Any]) -> None:
    record["outputs"][0]["qc"] = {"ESO QC BIAS MASTER1 RON": "0.0"}


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (another_frame, "holds other data than the imported action names"),
        (hidden_parameter, "with other parameters than the imported action names"),
        (other_data, "has other data or QC parameters than the imported record claims"),
        (better_quality, "has other data or QC parameters than the imported record claims"),
    ],
)
def test_a_replay_with_the_same_bytes_does_not_prove_a_lie(
    narrow: Workspace,
    tmp_path: Path,
    lie: Callable[[dict[str, Any], dict[str, Any]], None],
    said: str,
) -> None:
    """Promise 9: else the lie would be a hit for the action that it names."""
    narrow.run(Stage.BIAS)
    with narrow.open() as reduction:
        bias = reduction.store.newest_runs("bias")[0]
    made = papers(narrow, bias)
    key = change(made, bias, lie)
    for frame in made.description["frames"]:
        frame["data_digest"] = None
    bundle = made.zip(tmp_path / "b.zip")

    with opened_bundle(bundle, engine=FakeEngine(), library=install_image(tmp_path / "cache")) as opened:
        found = made_again(opened)
        hit = opened.workshop.store.lookup(key).is_hit

    assert said in found.links[0].unproven
    assert not hit


def test_another_clock_is_proven_by_the_recorded_bytes_or_not_at_all(
    narrow: Workspace, tmp_path: Path
) -> None:
    """Bytes that nobody compared are not trusted for their data digest."""
    narrow.run(Stage.BIAS)
    with narrow.open() as reduction:
        bias = reduction.store.newest_runs("bias")[0]
    made = papers(narrow, bias)
    name = f"data/objects/{bias.outputs[0].digest[7:9]}/{bias.outputs[0].digest[7:]}"
    whole = made.zip(tmp_path / "whole.zip")
    del made.members[name]
    made.description["products"][0]["stored"] = False
    bare = made.zip(tmp_path / "bare.zip")

    results = []
    for bundle in (whole, bare):
        engine = FakeEngine(today=narrow.engine.today)
        library = install_image(tmp_path / f"cache-{bundle.stem}")
        with opened_bundle(bundle, engine=engine, library=library) as opened:
            engine.today = datetime(2031, 1, 1, tzinfo=UTC)
            (link,) = made_again(opened).links
            results.append((link.sameness, link.unproven))

    assert results[0] == (Sameness.SAME_SCIENCE, "")
    assert results[1][0] is Sameness.SAME_SCIENCE
    assert "are not here to be compared" in results[1][1]


def test_an_imported_run_of_a_workspace_is_replayed_there(
    narrow: Workspace, flat: Run, tmp_path: Path
) -> None:
    """Without the bundle, by its reference, from what the bundle brought."""
    bundle = papers(narrow, flat).zip(tmp_path / "b.zip")
    other = Workspace.make(tmp_path / "other", ifus=(1,))

    with other.open() as reduction:
        import_bundle(reduction.store, bundle)
        shop = replace(Workshop.of(reduction), is_agreed=True)
        found = replay(shop, chain(reduction.store, [flat], closure=True))
        assert reduction.store.lookup(flat.action).run == flat

    assert found.sameness is Sameness.IDENTICAL
