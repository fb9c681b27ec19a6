"""Signatures by real SSH keys: what is altered is found and named, and whoever is not allowed is refused."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import image, primary, sealed
from history import FLAT_UNIT, History, keep, raw
from signed_bundles import bundle_of, flipped
from typer.testing import Result

from pipeline.errors import UsageError
from pipeline.signing.checking import Unsigned
from pipeline.signing.envelope import EnvelopeRefused
from pipeline.signing.keys import KeyUnusable
from provenance.errors import BundleRefused
from provenance.model import OutputFile, Run
from provenance.store import Store

Clio = Callable[..., Result]
FLAT = f"flat:{FLAT_UNIT}"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of Ann and of Bob."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "bob"):
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
        subprocess.run(words, check=True)
    return folder


@pytest.fixture
def allowed(keys: Path, tmp_path: Path) -> Path:
    """A list that allows Ann and nobody else."""
    return signers(tmp_path, keys, "ann@example.org")


def signers(folder: Path, keys: Path, who: str, options: str = "", key: str = "ann") -> Path:
    path = folder / "allowed_signers"
    public = (keys / f"{key}.pub").read_text()
    path.write_text(" ".join(filter(None, (who, options, public))))
    return path


def fits(exptime: float = 600.0, pixel: int = 7) -> bytes:
    head = primary({"OBJECT": "NGC 1", "EXPTIME": exptime}, comment="a comment")
    return sealed(head) + image("DATA", [1, pixel, 3]) + image("STAT", [4, 5, 6])


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    path = tmp_path / "CUBE.fits"
    path.write_bytes(fits())
    return path


@pytest.fixture
def made(workspace: Path, history: History) -> Run:
    """A run whose product is a FITS file."""
    with Store.open(workspace / ".clio") as store:
        kept = store.objects.put_bytes(fits())
        output = OutputFile("DATACUBE_FINAL", "CUBE.fits", kept.digest, "fits1:" + "3" * 64, (), kept.size)
        return keep(store, "muse_scipost", 9, "200012345", inputs=(raw("OBJECT", 1),), outputs=(output,))


def signed(result: Result) -> Result:
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def verdict(result: Result, code: int) -> Any:
    assert result.exit_code == code, result.output + repr(result.exception)
    (found,) = json.loads(result.stdout)["signed"]
    return found


def test_a_signed_file_holds_wherever_it_lies_and_needs_no_workspace(
    clio: Clio, keys: Path, allowed: Path, cube: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    result = signed(clio("sign", cube, "--key", keys / "ann"))
    beside = cube.with_name("CUBE.fits.dsse.json")
    assert result.stdout == f"{beside}\n"
    assert "1 file signed by SHA256:" in result.stderr
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "renamed.fits"
    elsewhere.write_bytes(cube.read_bytes())

    found = clio("verify", elsewhere, "--signature", beside, "--allowed-signers", allowed)

    assert signed(found).stdout == f"{elsewhere}: signed by ann@example.org\n"


def test_the_envelope_is_a_statement_of_in_toto_that_ssh_keygen_verifies(
    clio: Clio, keys: Path, allowed: Path, cube: Path, tmp_path: Path
) -> None:
    """Without Clio: DSSE's encoding of the payload, and the signature as ssh-keygen knows it."""
    import base64
    import textwrap

    clio("sign", cube, "--key", keys / "ann")
    envelope = json.loads((tmp_path / "CUBE.fits.dsse.json").read_bytes())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    signed_bytes = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    blob = envelope["signatures"][0]["sig"]
    signature = tmp_path / "x.sig"
    armour = "\n".join(textwrap.wrap(blob, 70))
    signature.write_text(f"-----BEGIN SSH SIGNATURE-----\n{armour}\n-----END SSH SIGNATURE-----\n")
    words = (
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        allowed,
        "-I",
        "ann@example.org",
        "-n",
        "clio",
        "-s",
        signature,
    )

    told = subprocess.run(words, input=signed_bytes, capture_output=True, check=False)

    assert told.returncode == 0, told.stderr
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["name"] == "CUBE.fits"
    assert set(statement["predicate"]) == {"buildDefinition", "runDetails"}


@pytest.mark.parametrize(
    ("content", "altered"),
    [
        (fits(exptime=601.0), ["HDU 0: card EXPTIME altered", "HDU 0: card CHECKSUM altered"]),
        (fits(pixel=8), ["HDU 1 DATA: its data"]),
        (fits().replace(b"/ a comment", b"/ a commend", 1), ["HDU 0: card SIMPLE altered"]),
        (fits()[: -2880 * 2], ["HDU 2 STAT: missing"]),
        (fits() + image("EXTRA", [1]), ["HDU 3 EXTRA: added"]),
        (fits()[:-100], ["it is no whole FITS file any more"]),
        (b"nothing of it", ["it is no whole FITS file any more"]),
        (fits() + b"\0" * 2880, ["it has 17280 bytes, not 14400"]),
    ],
    ids=["card", "pixel", "comment", "an HDU less", "an HDU more", "truncated", "another", "padding"],
)
def test_what_is_altered_is_named_by_hdu_and_card(
    clio: Clio, keys: Path, allowed: Path, cube: Path, content: bytes, altered: list[str]
) -> None:
    clio("sign", cube, "--key", keys / "ann")
    cube.write_bytes(content)

    found = verdict(clio("verify", cube, "--allowed-signers", allowed, "--json"), 7)

    assert found["altered"][: len(altered)] == altered
    assert (found["holds"], found["signer"]) == (False, "ann@example.org")


def test_every_byte_of_a_file_counts(clio: Clio, keys: Path, allowed: Path, cube: Path) -> None:
    clio("sign", cube, "--key", keys / "ann")
    sound = cube.read_bytes()
    for at in range(0, len(sound), 997):
        cube.write_bytes(flipped(sound, at))
        assert verdict(clio("verify", cube, "--allowed-signers", allowed, "--json"), 7)["altered"]


@pytest.mark.parametrize(
    ("who", "options", "key", "reason"),
    [
        ("bob@example.org", "", "bob", "its key is not among the allowed signers"),
        ("ann@example.org", 'valid-before="20200101"', "ann", "or is not valid at this time"),
        ("ann@example.org", 'valid-after="20990101"', "ann", "or is not valid at this time"),
        ("ann@example.org", 'namespaces="git"', "ann", "the allowed signers do not let it pass"),
    ],
    ids=["another key", "expired", "not yet", "for something else"],
)
def test_whoever_is_not_allowed_is_refused(
    clio: Clio, keys: Path, tmp_path: Path, cube: Path, who: str, options: str, key: str, reason: str
) -> None:
    clio("sign", cube, "--key", keys / "ann")
    allowed = signers(tmp_path, keys, who, options, key)

    found = verdict(clio("verify", cube, "--allowed-signers", allowed, "--json"), 7)

    assert reason in found["signatures"][0]["refused"]
    assert (found["holds"], found["signer"], found["altered"]) == (False, None, [])


def test_a_signature_for_something_else_is_refused(clio: Clio, keys: Path, allowed: Path, cube: Path) -> None:
    """A key that signs mail and commits signs no products by it."""
    import base64

    from pipeline.signing.envelope import read_envelope, unarmoured

    clio("sign", cube, "--key", keys / "ann")
    beside = cube.with_name("CUBE.fits.dsse.json")
    envelope = read_envelope(beside.read_bytes(), "it")
    words = ("ssh-keygen", "-Y", "sign", "-f", keys / "ann", "-n", "git")
    other = subprocess.run(words, input=envelope.signed, capture_output=True, check=True).stdout.decode()
    document = envelope.document()
    document["signatures"][0]["sig"] = base64.b64encode(unarmoured(other)).decode()
    beside.write_text(json.dumps(document))

    found = verdict(clio("verify", cube, "--allowed-signers", allowed, "--json"), 7)

    assert "its namespace is 'git', not clio" in found["signatures"][0]["refused"]


def test_a_signature_of_another_file_is_refused(
    clio: Clio, keys: Path, allowed: Path, cube: Path, tmp_path: Path
) -> None:
    clio("sign", cube, "--key", keys / "ann")
    other = tmp_path / "other.txt"
    other.write_text("something else")
    words = ("verify", other, "--signature", f"{cube}.dsse.json", "--allowed-signers", allowed, "--json")

    assert verdict(clio(*words), 7)["altered"] == ["it is not what was signed: the signature is of CUBE.fits"]


def test_a_renamed_file_that_was_altered_is_compared_with_the_one_it_is_like(
    clio: Clio, keys: Path, allowed: Path, cube: Path, tmp_path: Path
) -> None:
    clio("sign", cube, "--key", keys / "ann")
    other = tmp_path / "renamed.fits"
    other.write_bytes(fits(pixel=8))
    words = ("verify", other, "--signature", f"{cube}.dsse.json", "--allowed-signers", allowed, "--json")

    assert verdict(clio(*words), 7)["altered"] == ["HDU 1 DATA: its data"]


def test_a_statement_that_was_edited_does_not_hold(clio: Clio, keys: Path, allowed: Path, cube: Path) -> None:
    import base64

    clio("sign", cube, "--key", keys / "ann")
    beside = cube.with_name("CUBE.fits.dsse.json")
    document = json.loads(beside.read_bytes())
    payload = base64.b64decode(document["payload"]).replace(b"CUBE.fits", b"TUBE.fits")
    beside.write_text(json.dumps(document | {"payload": base64.b64encode(payload).decode()}))

    found = verdict(clio("verify", cube, "--allowed-signers", allowed, "--json"), 7)

    assert "it does not fit" in found["signatures"][0]["refused"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"payloadType": "application/vnd.in-toto+json", "payload": "!", "signatures": []}',
        "[" * 9999,
    ],
    ids=["empty", "object", "list", "no base64", "deep"],
)
def test_what_is_no_envelope_is_refused(clio: Clio, keys: Path, allowed: Path, cube: Path, text: str) -> None:
    cube.with_name("CUBE.fits.dsse.json").write_text(text)

    error = clio("verify", cube, "--allowed-signers", allowed).exception

    assert isinstance(error, EnvelopeRefused)
    assert error.exit_code == 6


def test_without_a_signature_nothing_is_verified(clio: Clio, allowed: Path, cube: Path) -> None:
    error = clio("verify", cube, "--allowed-signers", allowed).exception

    assert isinstance(error, Unsigned)
    assert error.exit_code == 7


def test_a_run_is_signed_in_the_store_and_verified_there(
    clio: Clio, keys: Path, allowed: Path, made: Run
) -> None:
    (said,) = json.loads(signed(clio("sign", made.run, "--key", keys / "ann", "--json")).stdout)["signed"]

    found = verdict(clio("verify", made.run, "--allowed-signers", allowed, "--json"), 0)

    assert (found["source"], found["kind"]) == (said["statement"], "urn:clio:run:1")
    assert said["path"] is None
    assert (
        "scipost:200012345: signed by ann@example.org"
        in clio("verify", "scipost:200012345", "--allowed-signers", allowed).stdout
    )


def test_a_record_that_was_edited_is_named(
    clio: Clio, keys: Path, allowed: Path, made: Run, workspace: Path
) -> None:
    clio("sign", made.run, "--key", keys / "ann")
    path = next((workspace / ".clio/records").rglob(f"{made.run}.json"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"unit":"200012345"', b'"unit":"200012346"'))

    found = verdict(clio("verify", made.run, "--allowed-signers", allowed, "--json"), 7)

    assert found["altered"] == ["its record: its bytes"]


def test_a_product_in_the_store_that_was_edited_is_named(
    clio: Clio, keys: Path, allowed: Path, made: Run, workspace: Path
) -> None:
    clio("sign", made.run, "--key", keys / "ann")
    with Store.open(workspace / ".clio") as store:
        path = store.objects.path(made.outputs[0].digest)
    path.chmod(0o644)
    path.write_bytes(fits(exptime=601.0))

    found = verdict(clio("verify", made.run, "--allowed-signers", allowed, "--json"), 7)

    assert found["altered"][0] == "CUBE.fits: HDU 0: card EXPTIME altered"


def test_a_product_outside_of_the_store_is_signed_with_how_it_was_made(
    clio: Clio, keys: Path, allowed: Path, made: Run, cube: Path
) -> None:
    import base64

    clio("sign", cube, "--key", keys / "ann")
    envelope = json.loads(cube.with_name("CUBE.fits.dsse.json").read_bytes())
    predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]

    assert predicate["runDetails"]["metadata"]["invocationId"] == made.run
    assert predicate["buildDefinition"]["externalParameters"]["recipe"] == "muse_scipost"
    assert "image" in {item["name"] for item in predicate["buildDefinition"]["resolvedDependencies"]}
    assert verdict(clio("verify", cube, "--allowed-signers", allowed, "--json"), 0)["holds"]


def test_a_run_that_is_not_signed_says_so(clio: Clio, allowed: Path, made: Run) -> None:
    assert isinstance(clio("verify", made.run, "--allowed-signers", allowed).exception, Unsigned)


# Bundles


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundle_of(tmp_path, fits())


def test_a_signed_bundle_holds(clio: Clio, keys: Path, allowed: Path, bundle: Path) -> None:
    signed(clio("sign", bundle, "--key", keys / "ann"))

    found = verdict(clio("verify", bundle, "--allowed-signers", allowed, "--json"), 0)

    assert (found["kind"], found["altered"]) == ("urn:clio:bundle:1", [])


@pytest.mark.parametrize("part", ["records", "actions", "objects", "clio-bundle", "manifest-sha256"])
def test_one_byte_of_any_member_of_a_bundle_is_found_and_named(
    clio: Clio, keys: Path, allowed: Path, bundle: Path, part: str
) -> None:
    from provenance.zipped import Zipped

    clio("sign", bundle, "--key", keys / "ann")
    with Zipped(bundle) as read:
        name = next(name for name in read.members if part in name)
        member = read.members[name]
    bundle.write_bytes(flipped(bundle.read_bytes(), member.start + member.size // 2))

    found = verdict(clio("verify", bundle, "--allowed-signers", allowed, "--json"), 7)

    assert found["altered"][0].startswith(f"member {name}: ")
    assert len(found["altered"]) == 1


def test_a_card_of_a_product_in_a_bundle_is_named(
    clio: Clio, keys: Path, allowed: Path, bundle: Path
) -> None:
    clio("sign", bundle, "--key", keys / "ann")
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b"'NGC 1   '", b"'NGC 2   '"))

    (altered,) = verdict(clio("verify", bundle, "--allowed-signers", allowed, "--json"), 7)["altered"]

    assert altered.startswith("member data/objects/")
    assert altered.endswith(": HDU 0: card OBJECT altered")


def test_a_member_more_or_less_is_named(
    clio: Clio, keys: Path, allowed: Path, bundle: Path, tmp_path: Path
) -> None:
    clio("sign", bundle, "--key", keys / "ann")
    other = bundle_of(tmp_path, fits(), name="other.zip", without="data/clio.toml", with_="data/clio.lock")
    words = ("--signature", f"{bundle}.dsse.json", "--allowed-signers", allowed, "--json")

    altered = verdict(clio("verify", other, *words), 7)["altered"]

    assert "member data/clio.lock: added" in altered
    assert "member data/clio.toml: missing" in altered


def test_a_torn_bundle_is_damaged(clio: Clio, keys: Path, allowed: Path, bundle: Path) -> None:
    clio("sign", bundle, "--key", keys / "ann")
    content = bytearray(bundle.read_bytes())
    at = content.index(b"PK\1\2")
    content[at] ^= 0xFF  # the first entry of its directory
    bundle.write_bytes(content)

    assert isinstance(clio("verify", bundle, "--allowed-signers", allowed).exception, BundleRefused)


def test_what_is_imported_and_signed_is_trusted_on_request(
    clio: Clio, keys: Path, allowed: Path, bundle: Path, workspace: Path
) -> None:
    """Promise 9."""
    from provenance.importing import import_bundle
    from provenance.imports import How

    clio("sign", bundle, "--key", keys / "ann")
    with Store.open(workspace / ".clio") as store:
        (run,) = import_bundle(store, bundle).runs
        assert not store.lookup(run.action).is_hit
    words = ("verify", bundle, "--allowed-signers", allowed, "--trust", "--json")

    told = json.loads(signed(clio(*words)).stdout)

    assert told["trusted"] == [run.run]
    with Store.open(workspace / ".clio") as store:
        assert store.lookup(run.action).is_hit
        assert store.imports.trusts[run.run].said.how is How.SIGNATURE
        assert store.imports.trusts[run.run].said.reason.startswith("ann@example.org (SHA256:")
    assert json.loads(signed(clio(*words)).stdout)["trusted"] == []


def test_what_is_signed_by_nobody_allowed_is_not_trusted(
    clio: Clio, keys: Path, bundle: Path, workspace: Path, tmp_path: Path
) -> None:
    from provenance.importing import import_bundle

    clio("sign", bundle, "--key", keys / "ann")
    with Store.open(workspace / ".clio") as store:
        (run,) = import_bundle(store, bundle).runs
    allowed = signers(tmp_path, keys, "bob@example.org", key="bob")

    result = clio("verify", bundle, "--allowed-signers", allowed, "--trust")

    assert (result.exit_code, "trusted" in result.stdout) == (7, False)
    with Store.open(workspace / ".clio") as store:
        assert not store.lookup(run.action).is_hit


# Refusals


def test_a_key_that_is_not_there_is_said(clio: Clio, cube: Path, tmp_path: Path) -> None:
    assert isinstance(clio("sign", cube, "--key", tmp_path / "none").exception, KeyUnusable)


def test_what_is_no_key_is_said(clio: Clio, cube: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nothing")
    (tmp_path / "key").chmod(0o600)

    error = clio("sign", cube, "--key", tmp_path / "key").exception

    assert isinstance(error, KeyUnusable)
    assert "signs nothing" in error.message


@pytest.mark.parametrize(
    "words",
    [
        ("CUBE.fits", "--trust"),
        ("CUBE.fits", "--signature", "x"),
        ("a.fits", "b.fits", "--signature", "x", "--allowed-signers", "y"),
        ("none.fits", "--allowed-signers", "allowed_signers"),
    ],
    ids=" ".join,
)
def test_calls_that_make_no_sense_are_refused(
    clio: Clio, allowed: Path, cube: Path, workspace: Path, words: tuple[str, ...]
) -> None:
    assert isinstance(clio("verify", *words).exception, UsageError)
