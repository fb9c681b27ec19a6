"""Signatures: in-toto statements with SLSA provenance, in DSSE envelopes, by SSH keys that people have.

`seals` reads what is signed, down to HDUs and cards; `attest` writes the statement; `envelope` is the form on
disk; `keys` asks ssh-keygen; `checking` tells what of a signed thing is otherwise now. `docs/signatures.md`
describes the formats.

References
----------
in-toto Attestation Framework v1; SLSA Provenance v1; DSSE 1.0; OpenSSH PROTOCOL.sshsig.
"""
