"""Sets of frames as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Exit, UsageError
from pipeline.sof import read_sof, write_sof

NAME = st.from_regex(r"[A-Za-z0-9._:+-]+", fullmatch=True)
FRAMES = st.lists(st.tuples(st.lists(NAME, min_size=1, max_size=3), NAME), max_size=6)


@given(FRAMES)
def test_a_set_of_frames_is_read_back_as_it_was_written(frames: list[tuple[list[str], str]]) -> None:
    pairs = tuple(("/" + "/".join(parts), tag) for parts, tag in frames)

    assert read_sof(write_sof(pairs)) == pairs


def test_the_order_of_a_set_of_frames_is_kept() -> None:
    pairs = (("/in/b.fits", "BIAS"), ("/in/a.fits", "BIAS"))

    assert write_sof(pairs) == "/in/b.fits BIAS\n/in/a.fits BIAS\n"


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("/in/with blank.fits", "BIAS"),
        ("/in/$HOME.fits", "BIAS"),
        ("/in/a.fits", "BI AS"),
        ("/in/a.fits", ""),
        ("/in/a\n/in/b.fits", "BIAS"),
        ("/in/ä.fits", "BIAS"),
        ("/in/a\n", "BIAS"),
    ],
    ids=["blank", "variable", "tag", "no-tag", "newline", "umlaut", "newline-at-the-end"],
)
def test_what_esorex_would_misread_is_refused(path: str, tag: str) -> None:
    with pytest.raises(UsageError) as caught:
        write_sof(((path, tag),))

    assert caught.value.message == f"a set of frames cannot hold {path!r} with tag {tag!r}"
    assert caught.value.exit_code is Exit.USAGE


def test_comments_and_blank_lines_are_left_out() -> None:
    assert read_sof("# made by hand\n\n/in/a.fits BIAS\n/in/b.fits\n") == (
        ("/in/a.fits", "BIAS"),
        ("/in/b.fits", ""),
    )
