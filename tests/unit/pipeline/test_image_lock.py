"""References, packages and what a lock says of them."""

import pytest

from pipeline.errors import ConfigError, UsageError
from pipeline.image.lock import (
    Package,
    package_differences,
    packages_from_json,
    packages_to_json,
    parse_reference,
    preferences,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
ESOREX = Package("esorex", "3.13.6+ds-1", "amd64", "a" * 64)
MUSE = Package("cpl-plugin-muse", "2.8.7+dfsg-3", "amd64", "b" * 64)


@pytest.mark.parametrize(
    "text", [DIGEST, f"muse@{DIGEST}", f"host:5000/lab/muse:latest@{DIGEST}", f"  {DIGEST}\n"]
)
def test_parse_reference_takes_the_digest(text: str) -> None:
    assert parse_reference(text) == DIGEST


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("muse:2.8.7", id="tag"),
        pytest.param("muse", id="name"),
        pytest.param("", id="nothing"),
        pytest.param(DIGEST[:-1], id="short"),
        pytest.param(DIGEST.upper(), id="capitals"),
        pytest.param("sha512:" + "0" * 128, id="other algorithm"),
        pytest.param(f"a b@{DIGEST}", id="blank"),
    ],
)
def test_parse_reference_refuses_what_has_no_digest_promise_3(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)

    assert caught.value.message == (
        f"the image reference {text!r} has no digest; a tag can be moved, and results would change unseen"
    )
    assert "sha256:<64 hex>" in caught.value.hint


def test_packages_survive_json_in_one_order() -> None:
    assert packages_from_json(packages_to_json([ESOREX, MUSE])) == (MUSE, ESOREX)
    assert packages_to_json([ESOREX, MUSE]) == packages_to_json([MUSE, ESOREX])


def test_packages_from_json_refuses_a_row_without_its_digest() -> None:
    with pytest.raises(ConfigError, match="a package needs name, version, architecture and sha256 as text"):
        packages_from_json([{"name": "esorex", "version": "1", "architecture": "amd64"}])


@pytest.mark.parametrize(
    ("actual", "wanted", "words"),
    [
        pytest.param([ESOREX], [ESOREX], (), id="same"),
        pytest.param([ESOREX, MUSE], [MUSE, ESOREX], (), id="order does not matter"),
        pytest.param(
            [Package("esorex", "3.14-1", "amd64", "c" * 64)],
            [ESOREX],
            ("esorex 3.13.6+ds-1 is wanted, 3.14-1 is what there is",),
            id="version",
        ),
        pytest.param(
            [Package("esorex", ESOREX.version, "amd64", "c" * 64)],
            [ESOREX],
            ("esorex 3.13.6+ds-1 has other bytes: cccccccccccc, not aaaaaaaaaaaa",),
            id="rebuilt under the same version",
        ),
        pytest.param([ESOREX, MUSE], [ESOREX], ("cpl-plugin-muse 2.8.7+dfsg-3 is new",), id="new"),
        pytest.param(
            [ESOREX], [ESOREX, MUSE], ("cpl-plugin-muse 2.8.7+dfsg-3 is wanted and missing",), id="gone"
        ),
    ],
)
def test_package_differences_are_said_in_words(
    actual: list[Package], wanted: list[Package], words: tuple[str, ...]
) -> None:
    assert package_differences(actual, wanted) == words


def test_preferences_hold_every_package_at_its_version() -> None:
    assert preferences([ESOREX, MUSE]).split("\n\n") == [
        "Package: esorex\nPin: version 3.13.6+ds-1\nPin-Priority: 1001",
        "Package: cpl-plugin-muse\nPin: version 2.8.7+dfsg-3\nPin-Priority: 1001\n",
    ]
