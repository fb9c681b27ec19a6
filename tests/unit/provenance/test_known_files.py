"""Files that runs read and made are found by name, by data and by tag."""

from pathlib import Path

from stored import RAW, an_action, commit

from provenance.model import InputFile
from provenance.store import Store

DATA = "fits1:" + "7" * 64


def test_files_are_found_by_name_data_and_tag(tmp_path: Path) -> None:
    with Store.create(tmp_path / "store") as store:
        frame = InputFile("BIAS", "MUSE.a.fits", RAW, DATA, 11, "/data/raw/a.fits")
        first = commit(store, an_action(), b"one", inputs=(frame,))
        second = commit(store, an_action(spec=2), b"two", inputs=(frame,))

        read = store.files_named("MUSE.a.fits")
        assert [(f.digest, f.tag, f.seen_at, f.is_product) for f in read] == [
            (RAW, "BIAS", "/data/raw/a.fits", False)
        ]
        assert store.files_of_data(DATA) == read
        assert {f.digest for f in store.files_named("MASTER_BIAS_0.fits")} == {
            run.outputs[0].digest for run in (first, second)
        }
        newest = store.products_of("MASTER_BIAS", 1)
        assert [(f.run, f.is_product) for f in newest] == [(second.run, True)]
        assert store.files_named("nothing") == ()
