"""Zip files as bundles are: the same bytes every time, read by our strict reader and by that of Python."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.digest import digest_bytes
from provenance.zipped import Zipped
from provenance.zipping import FULL, MemberChanged, Zipping

Members = dict[str, bytes]


def zip_of(members: Members, full: int = FULL) -> bytes:
    buffer = io.BytesIO()
    zipping = Zipping(buffer, full)
    for name, data in sorted(members.items()):
        assert zipping.add(name, len(data), (data[at : at + 3] for at in range(0, len(data), 3))) == (
            digest_bytes(data)
        )
    zipping.close()
    return buffer.getvalue()


def read_by_python(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} <= {zipfile.ZIP_STORED}
        return {info.filename: archive.read(info) for info in archive.infolist()}


def read_by_us(data: bytes, folder: Path) -> Members:
    path = folder / "a.zip"
    path.write_bytes(data)
    with Zipped(path) as zipped:
        return {name: zipped.read(name, 1 << 20) for name in zipped.members}


names = st.text("abc-./0", min_size=1, max_size=8)
some = st.dictionaries(names, st.binary(max_size=40), max_size=6)


@given(some, st.sampled_from([0, 1, 7, 30, 100, FULL]))
def test_two_readers_see_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, members: Members, full: int
) -> None:
    """With Zip64 fields for numbers from `full` on, as for members and archives beyond 4 GiB."""
    data = zip_of(members, full)

    assert read_by_python(data) == members
    assert read_by_us(data, tmp_path_factory.mktemp("zip")) == members


def test_members_have_one_time_one_mode_and_nothing_else() -> None:
    """Promise 2."""
    with zipfile.ZipFile(io.BytesIO(zip_of({"a": b"1", "b/c": b""}))) as archive:
        told = [
            (i.filename, i.date_time, i.external_attr, i.flag_bits, i.extra, i.comment)
            for i in archive.infolist()
        ]

    assert told == [(name, (1980, 1, 1, 0, 0, 0), 0o100644 << 16, 0, b"", b"") for name in ("a", "b/c")]


@pytest.mark.parametrize("data", [b"12", b"1234"])
def test_a_member_of_another_size_than_said_is_refused(data: bytes) -> None:
    with pytest.raises(MemberChanged):
        Zipping(io.BytesIO()).add("a", 3, [data])


def test_members_out_of_order_are_a_defect() -> None:
    zipping = Zipping(io.BytesIO())
    zipping.add("b", 0, [])

    with pytest.raises(AssertionError, match="out of order"):
        zipping.add("a", 0, [])
