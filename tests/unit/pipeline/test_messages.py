"""What recipes say is quoted where it tells something, and explained where it is known."""

import re

import pytest

from pipeline.messages import KNOWN_MESSAGES, complaints, doubts, telling

DUMP = [
    "Dumping the 2 most recent error(s) out of a total of 2 errors:",
    "[1/2] 'Data not found: \"/in/f.fits\" does not contain any light' (10) at muse_table.c:1",
    "[2/2] 'Data not found' (10) at cpl_propertylist_erase_name_:cpl_propertylist.c:6805",
]


def test_complaints_are_cut_down_to_what_is_said() -> None:
    log = "\n".join(
        [
            "12:00:00 [WARNING] muse_flux_calibrate: [tid=000] EXTINCT_TABLE missing!",
            "12:00:00 [ INFO  ] muse_flux_calibrate: [tid=000] all is well",
            "12:00:01 [ ERROR ] : [tid=000] Execution of recipe 'muse_scipost' failed, status = -1",
            "12:00:01 [ ERROR ] said by nobody",
        ]
    )

    assert complaints(log) == (
        ["Execution of recipe 'muse_scipost' failed, status = -1", "said by nobody"],
        ["EXTINCT_TABLE missing!"],
    )


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([], ""),
        (["no light", *DUMP, "Execution of recipe 'muse_flat' failed, status = -1"], "no light"),
        (DUMP, '"/in/f.fits" does not contain any light'),
        ([DUMP[0], DUMP[2]], DUMP[2]),
        (["Execution of recipe 'muse_flat' failed, status = -1"], "Execution of recipe 'muse_flat' failed,"),
        (["Sky line fit failed with error code 21", *DUMP], "the fit of the sky lines failed (Sky line fit"),
    ],
    ids=["none", "own-words", "dump", "codes-only", "idle-only", "known"],
)
def test_the_error_that_tells_most_is_quoted(errors: list[str], said: str) -> None:
    assert telling(errors).startswith(said)
    assert bool(telling(errors)) is bool(said)


def test_what_is_known_is_quoted_without_the_code_around_it() -> None:
    error = '[1/2] \'Data not found: "/in/f.fits" does not contain filter "X"\' (10) at muse_table.c:1'

    assert telling([error]) == (
        'a filter is not in the FILTER_LIST ("/in/f.fits" does not contain filter "X"); name one of those '
        "that are there"
    )


def test_a_doubt_is_said_once_however_often_it_is_warned_of() -> None:
    warnings = [f"No LSF params for slice #1.{n}. Ignoring lines" for n in (1, 2, 2, 3)]

    assert doubts(["all is well", *warnings]) == (
        "sky lines were not subtracted in a slice that has no LSF_PROFILE (No LSF params for slice #1.1. "
        "Ignoring lines, and 2 more like it)",
    )


def test_every_known_message_is_a_pattern_with_a_meaning_in_the_style_of_the_house() -> None:
    for message in KNOWN_MESSAGES:
        re.compile(message.pattern)
        for words in (message.meaning, message.hint):
            assert not words.endswith(".")
        assert message.meaning
        assert ";" not in message.meaning
