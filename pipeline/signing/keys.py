"""SSH keys through ssh-keygen: sign, and say whether a signature is of a key that is allowed."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Exit, PipelineError
from pipeline.signing.envelope import NAMESPACE, Envelope, SshSignature, read_signature, unarmoured


class KeyUnusable(PipelineError):
    """A key, a list of allowed keys or ssh-keygen itself cannot be used."""

    exit_code = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a signature."""

    key: str
    """Fingerprint."""
    signer: str
    """Who that is, as the list of allowed keys says; empty if the signature is refused."""
    reason: str
    """Why it is refused; empty if it holds."""

    @property
    def holds(self) -> bool:
        """Whether it is sound and of a key that is allowed."""
        return not self.reason


def sign(envelope: Envelope, key: Path) -> Envelope:
    """Add a signature to an envelope.

    Parameters
    ----------
    envelope : Envelope
        What is signed.
    key : Path
        A private key, or a public one whose other half an agent holds.

    Raises
    ------
    KeyUnusable
        There is no such key, or no program that signs with it.
    """
    if not key.is_file():
        raise KeyUnusable(f"there is no key {key}", "make one with: ssh-keygen -t ed25519 -f KEY")
    ended = _call("-Y", "sign", "-f", str(key), "-n", NAMESPACE, given=envelope.signed)
    if ended.returncode != 0:
        hint = "of a key with a passphrase: run it in a terminal, or use ssh-agent"
        raise KeyUnusable(f"{key} signs nothing: {_last(ended)}", hint)
    made = read_signature(unarmoured(ended.stdout.decode()))
    return Envelope(envelope.payload, (*envelope.signatures, made))


def check(envelope: Envelope, allowed: Path) -> tuple[Checked, ...]:
    """Check each signature of an envelope against a list of allowed keys.

    Parameters
    ----------
    envelope : Envelope
        What is signed, and by whom.
    allowed : Path
        In the form of `ssh-keygen(1)`, ALLOWED SIGNERS: principals, options such as `namespaces="clio"` or
        `valid-before="20300101"`, key.

    Raises
    ------
    KeyUnusable
        There is no such list, or no program that reads it.
    """
    if not allowed.is_file():
        raise KeyUnusable(
            f"there is no list of allowed signers {allowed}", "a line of it is: NAME ssh-ed25519 AAAA..."
        )
    return tuple(_check(envelope.signed, one, allowed) for one in envelope.signatures)


def _check(signed: bytes, signature: SshSignature, allowed: Path) -> Checked:
    if signature.namespace != NAMESPACE:
        reason = f"its namespace is {signature.namespace!r}, not {NAMESPACE}: it was made for something else"
        return Checked(signature.key, "", reason)
    with tempfile.TemporaryDirectory(prefix="clio-sign-") as scratch:
        file = Path(scratch) / "signature"
        file.write_text(signature.armoured, encoding="ascii")
        sound = _call("-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(file), given=signed)
        if sound.returncode != 0:
            return Checked(
                signature.key, "", "it does not fit: what was signed, or the signature, was altered"
            )
        found = _call("-Y", "find-principals", "-s", str(file), "-f", str(allowed))
        names = found.stdout.decode("utf-8", "replace").split("\n")
        reason = "its key is not among the allowed signers, or is not valid at this time"
        for name in dict.fromkeys(name.strip() for name in names if name.strip()):
            words = ("-Y", "verify", "-n", NAMESPACE, "-I", name, "-f", str(allowed), "-s", str(file))
            ended = _call(*words, given=signed)
            if ended.returncode == 0:
                return Checked(signature.key, name, "")
            reason = f"the allowed signers do not let it pass: {_last(ended)}"
    return Checked(signature.key, "", reason)


def _call(*words: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    program = shutil.which("ssh-keygen")
    if program is None:
        raise KeyUnusable("there is no ssh-keygen here", "on Debian: apt-get install openssh-client")
    environment = os.environ | {"LC_ALL": "C"}
    return subprocess.run([program, *words], input=given, capture_output=True, check=False, env=environment)


def _last(ended: "subprocess.CompletedProcess[bytes]") -> str:
    lines = (ended.stderr or ended.stdout).decode("utf-8", "replace").strip().splitlines()
    return lines[0].rstrip(".\r") if lines else f"ssh-keygen left with {ended.returncode}"
