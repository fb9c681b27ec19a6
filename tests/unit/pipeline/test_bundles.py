"""Bundles of a reduced night: what is in them, the same bytes everywhere, and what is refused."""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bagit
import pytest
from fakes import Workspace

from pipeline.again import Workshop
from pipeline.bundle_parts import Holding
from pipeline.bundles import Draft, draft, prove, write
from pipeline.errors import FileRefused, FramesError, ImageError
from pipeline.model import Stage
from pipeline.reduce import Reduction
from provenance.bundle_layout import Description, place_of
from provenance.bundling import ItemRefused, Written
from provenance.digest import digest_bytes, digest_file
from provenance.documents import from_document
from provenance.errors import StoreDamaged, StoreMissing
from provenance.importing import import_bundle, look_into
from provenance.model import Purpose, Run
from provenance.prune import VERDICT
from provenance.store import Store

EVERYTHING = Holding(image=True, calib=True, raw=True, intermediate=True)
NOTHING = Holding()


@pytest.fixture
def reduction(narrow: Workspace) -> Iterator[Reduction]:
    """A reduced night of one IFU, up to the wavelength calibration."""
    _give_an_archive(narrow)
    narrow.run(Stage.BIAS, Stage.FLAT, Stage.WAVE)
    with narrow.open() as reduction:
        yield reduction


def _give_an_archive(workspace: Workspace) -> None:
    """Make the archive of the image one of the digest that is said of it."""
    (archive,) = workspace.root.rglob("archive.tar")
    archive.write_bytes(b"an image archive")
    facts = archive.with_name("image.json")
    document = json.loads(facts.read_text()) | {"archive_digest": digest_file(archive)}
    facts.write_text(json.dumps(document))


def newest(reduction: Reduction, stage: str) -> Run:
    return next(run for run in reduction.store.runs(stage=stage) if run.purpose is Purpose.RUN)


def drafted(reduction: Reduction, holding: Holding = NOTHING, stage: str = "wave") -> Draft:
    run = newest(reduction, stage)
    products = [item.digest for item in run.outputs]
    return draft(Workshop.of(reduction), reduction.settings, [run], products, holding)


def exported(reduction: Reduction, path: Path, holding: Holding = NOTHING, stage: str = "wave") -> Written:
    return write(drafted(reduction, holding, stage), path)


def unzipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def description(path: Path) -> Description:
    with zipfile.ZipFile(path) as archive:
        document = json.loads(archive.read("data/clio-bundle.json"))
    return from_document(Description, document, "description")


def test_it_holds_all_runs_upstream_with_records_logs_and_what_was_asked_for(
    reduction: Reduction, tmp_path: Path
) -> None:
    written = exported(reduction, tmp_path / "a.zip")
    bundle = look_into(tmp_path / "a.zip")
    runs = [newest(reduction, stage) for stage in ("bias", "flat", "wave")]
    asked = {item.digest for item in runs[-1].outputs}

    assert (written.id, written.size) == (bundle.id, (tmp_path / "a.zip").stat().st_size)
    assert {run.run for run in bundle.runs} == {run.run for run in runs}
    assert bundle.description.roots == (runs[-1].run,)
    assert set(bundle.objects) == asked | {run.log for run in runs}
    assert {p.digest for p in bundle.description.products if p.stored} == asked
    assert "data/ro-crate-metadata.json" in bundle.manifest
    assert digest_file(reduction.settings.file)[7:] == bundle.manifest["data/clio.toml"]
    assert digest_file(reduction.settings.lock)[7:] == bundle.manifest["data/clio.lock"]


def test_it_names_what_it_does_not_hold_and_where_to_get_it(reduction: Reduction, tmp_path: Path) -> None:
    exported(reduction, tmp_path / "a.zip")
    found = description(tmp_path / "a.zip")
    raw = next(frame for frame in found.frames if frame.tag == "BIAS")
    static = next(frame for frame in found.frames if frame.tag == "LINE_CATALOG")

    assert not any(item.stored for item in (*found.frames, *found.images))
    assert (raw.kind, raw.arcfile) == ("raw", raw.name)
    assert raw.where.endswith(f"https://dataportal.eso.org/dataPortal/file/{raw.name.removesuffix('.fits')}")
    assert (static.kind, static.arcfile) == ("static", None)
    assert static.where.endswith("the file was called line_catalog.fits")
    assert [image.config for image in found.images] == [reduction.image.config_digest]


def test_asked_for_everything_is_in_it_and_frames_keep_their_bytes(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    """Promise 10."""
    before = {path: (path.read_bytes(), path.stat()) for path in narrow.root.glob("*/MUSE.*")}
    exported(reduction, tmp_path / "a.zip", EVERYTHING)
    found = description(tmp_path / "a.zip")

    assert all(item.stored for item in (*found.products, *found.frames, *found.images))
    assert found.images[0].archive == digest_file(reduction.image.archive)
    assert before == {path: (path.read_bytes(), path.stat()) for path in before}


@pytest.mark.parametrize(
    ("holding", "stored"),
    [
        (Holding(raw=True), {"raw"}),
        (Holding(calib=True), {"static"}),
        (Holding(image=True), {"image"}),
        (Holding(intermediate=True), {"product"}),
    ],
    ids=["raw", "calib", "image", "intermediate"],
)
def test_each_option_adds_one_kind(
    reduction: Reduction, tmp_path: Path, holding: Holding, stored: set[str]
) -> None:
    exported(reduction, tmp_path / "a.zip", holding)
    found = description(tmp_path / "a.zip")
    asked = {item.digest for item in newest(reduction, "wave").outputs}
    kinds = {frame.kind for frame in found.frames if frame.stored}
    kinds |= {"image" for image in found.images if image.stored}
    kinds |= {"product" for product in found.products if product.stored and product.digest not in asked}

    assert kinds == stored


def test_twice_the_same_reduction_is_the_same_file(reduction: Reduction, tmp_path: Path) -> None:
    """Promise 2: another day, another time zone, another umask; a catalogue made anew; calls in between."""
    first = exported(reduction, tmp_path / "a.zip", EVERYTHING)
    umask, zone = os.umask(0o077), os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Chatham"
    time.tzset()
    try:
        reduction.run([Stage.BIAS])
        second = exported(reduction, tmp_path / "b.zip", EVERYTHING)
    finally:
        os.umask(umask)
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
        time.tzset()

    assert first == second
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_copy_elsewhere_gives_the_same_file(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    """Promise 2: another folder, frames of other names, an index made anew."""
    exported(reduction, tmp_path / "a.zip", EVERYTHING)
    reduction.close()
    moved = tmp_path / "else where"
    narrow.root.rename(moved)
    for path in (moved / "raw").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    for path in (moved / ".clio").glob("provenance.db*"):
        path.unlink()
    there = replace(narrow, root=moved, library=type(narrow.library)(moved / "cache"))
    with there.open() as again:
        exported(again, tmp_path / "b.zip", EVERYTHING)

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_order_of_what_is_asked_for_changes_nothing(reduction: Reduction, tmp_path: Path) -> None:
    runs = [newest(reduction, stage) for stage in ("bias", "wave")]
    products = [item.digest for run in runs for item in run.outputs]
    shop, settings = Workshop.of(reduction), reduction.settings
    ids = {
        write(draft(shop, settings, order(runs), order(products), NOTHING), tmp_path / name).id
        for name, order in (("a.zip", list), ("b.zip", lambda items: list(reversed(items))))
    }

    assert len(ids) == 1


def test_it_is_a_bag(reduction: Reduction, tmp_path: Path) -> None:
    """Validated by the program of the Library of Congress."""
    exported(reduction, tmp_path / "a.zip", EVERYTHING)
    bag = bagit.Bag(str(unzipped(tmp_path / "a.zip", tmp_path / "bag")))

    bag.validate()
    assert bag.info["Bag-Software-Agent"].startswith("clio ")
    assert set(bag.algorithms) == {"sha256"}


def test_the_crate_names_only_files_that_are_in_it(reduction: Reduction, tmp_path: Path) -> None:
    exported(reduction, tmp_path / "a.zip", EVERYTHING)
    data = unzipped(tmp_path / "a.zip", tmp_path / "bag") / "data"
    crate = json.loads((data / "ro-crate-metadata.json").read_bytes())
    files = {entity["@id"]: entity for entity in crate["@graph"] if "File" in entity["@type"]}
    there = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}

    assert there - {"ro-crate-metadata.json"} == files.keys()
    for name, entity in files.items():
        assert digest_file(data / name) == f"sha256:{entity['sha256']}"
    root = next(entity for entity in crate["@graph"] if entity["@id"] == "./")
    assert root["mainEntity"] == {"@id": "clio-bundle.json"}


def test_it_is_taken_in_by_an_empty_store_and_gives_the_same_papers(
    reduction: Reduction, tmp_path: Path
) -> None:
    exported(reduction, tmp_path / "a.zip", EVERYTHING)
    with Store.create(tmp_path / "store") as other:
        done = import_bundle(other, tmp_path / "a.zip")
        run = newest(reduction, "wave")
        record = other.records.record_path(run.action, run.run)

        assert len(done.runs) == 3
        assert record.read_bytes() == reduction.store.records.record_path(run.action, run.run).read_bytes()
        assert all(other.objects.has(frame.digest) for frame in done.bundle.description.frames)


def test_what_was_said_goes_with_it_and_what_this_machine_alone_minds_does_not(
    reduction: Reduction, tmp_path: Path
) -> None:
    run = newest(reduction, "flat")
    pin = reduction.store.pin(run.outputs[0].digest, "MASTER_FLAT", "flat", step="flat", reason="paper")
    reduction.store.statement(VERDICT, {"run": run.run, "verdict": "identical"})
    other = reduction.store.statement("pruned", {"run": run.run})
    exported(reduction, tmp_path / "a.zip")
    said = look_into(tmp_path / "a.zip").statements

    assert pin.statement in said
    assert other.digest not in said
    assert len(said) == 2


def test_a_run_that_made_nothing_is_handed_on_with_its_log_and_no_crate(
    reduction: Reduction, tmp_path: Path
) -> None:
    run = newest(reduction, "bias")
    made = draft(Workshop.of(reduction), reduction.settings, [run], [], NOTHING)
    write(made, tmp_path / "a.zip")
    bundle = look_into(tmp_path / "a.zip")

    assert bundle.objects == (run.log,)
    assert "data/ro-crate-metadata.json" not in bundle.manifest


def test_a_pruned_product_is_refused_with_what_to_do(reduction: Reduction, tmp_path: Path) -> None:
    product = newest(reduction, "wave").outputs[0]
    reduction.store.objects.drop(product.digest)

    with pytest.raises(FramesError) as refused:
        drafted(reduction)

    digits = product.digest[7:19]
    assert f"{product.tag} of wave:" in refused.value.message
    assert "is not in the store any more" in refused.value.message
    assert refused.value.hint == f"make again what was pruned: clio restore {digits}"


def test_a_pruned_product_on_the_way_is_named_only(reduction: Reduction, tmp_path: Path) -> None:
    reduction.store.objects.drop(newest(reduction, "bias").outputs[0].digest)
    exported(reduction, tmp_path / "a.zip")

    with pytest.raises(FramesError, match="MASTER_BIAS of bias"):
        drafted(reduction, Holding(intermediate=True))


def test_a_log_that_is_lost_is_damage(reduction: Reduction) -> None:
    log = newest(reduction, "bias").log
    assert log is not None
    reduction.store.objects.drop(log)

    with pytest.raises(StoreMissing) as refused:
        drafted(reduction)

    assert "the log of bias:" in refused.value.message
    assert "clio check" in refused.value.hint


def _spoil(path: Path, data: bytes) -> None:
    """Change a file without changing its size or times."""
    found = path.stat()
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("act", ["prove", "write"])
def test_an_edited_object_is_found_whatever_its_date(reduction: Reduction, tmp_path: Path, act: str) -> None:
    product = newest(reduction, "wave").outputs[0]
    path = reduction.store.objects.path(product.digest)
    _spoil(path, bytes(len(path.read_bytes())))
    made = drafted(reduction)

    with pytest.raises(ItemRefused) as refused:
        prove(made) if act == "prove" else write(made, tmp_path / "a.zip")

    assert "changed since it was recorded" in refused.value.message
    assert f"clio restore {product.digest[7:19]}" in refused.value.hint
    assert list(tmp_path.glob("*.zip*")) + list(tmp_path.glob(".*zip*")) == []


def test_a_raw_frame_that_changed_since_is_refused_with_its_name(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    frame = newest(reduction, "bias").inputs[0]
    path = Path(str(frame.seen_at))
    path.write_bytes(path.read_bytes() + bytes(2880))

    with pytest.raises(FramesError) as refused:
        drafted(reduction, Holding(raw=True))

    assert f"{frame.tag} {frame.name} changed since it was read: {path}" in refused.value.message
    assert "--with-raw" in refused.value.hint
    drafted(reduction)


def test_a_raw_frame_that_changes_behind_our_back_is_found_while_it_is_read(
    reduction: Reduction, tmp_path: Path
) -> None:
    made = drafted(reduction, Holding(raw=True))
    frame = newest(reduction, "bias").inputs[0]
    path = Path(str(frame.seen_at))
    path.write_bytes(bytes(len(path.read_bytes())))

    with pytest.raises(FramesError, match="changed since it was recorded") as refused:
        write(made, tmp_path / "a.zip")

    assert f"{frame.tag} {frame.name}" in refused.value.message
    assert not (tmp_path / "a.zip").exists()


def test_a_frame_that_is_gone_is_named_with_where_it_lay(reduction: Reduction) -> None:
    frame = newest(reduction, "bias").inputs[0]
    Path(str(frame.seen_at)).unlink()

    with pytest.raises(FramesError, match=rf"{frame.name} .* is nowhere; it was read from"):
        drafted(reduction, Holding(raw=True))


def test_an_image_that_is_not_here_is_refused(reduction: Reduction, narrow: Workspace) -> None:
    shutil.rmtree(reduction.image.archive.parent)

    with pytest.raises(ImageError):
        drafted(reduction, Holding(image=True))
    drafted(reduction)


def test_an_edited_paper_is_never_handed_on(reduction: Reduction, tmp_path: Path) -> None:
    made = drafted(reduction)
    action = reduction.store.records.action_path(newest(reduction, "bias").action)
    action.chmod(0o644)
    action.write_bytes(action.read_bytes().replace(b"muse_bias", b"muse_bios"))

    with pytest.raises(StoreDamaged, match="was edited"):
        write(made, tmp_path / "a.zip")


def test_a_place_that_cannot_be_written_to_is_named(reduction: Reduction, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot be written"):
        exported(reduction, tmp_path / "no" / "a.zip")


def test_every_member_has_a_name_of_the_layout(reduction: Reduction, tmp_path: Path) -> None:
    exported(reduction, tmp_path / "a.zip", EVERYTHING)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        objects = {name: archive.read(name) for name in names if name.startswith("data/objects/")}

    assert names == sorted(names)
    for name, data in objects.items():
        place = place_of(name)
        assert place is not None
        assert digest_bytes(data) == f"sha256:{place.name}"
