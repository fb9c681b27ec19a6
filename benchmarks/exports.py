"""How long a lineage takes to write, form by form.

Usage: python benchmarks/exports.py WORKSPACE REFERENCE

`benchmarks/known.py FOLDER 20000` makes a workspace with a lineage of so many steps.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIO = Path(sys.executable).with_name("clio")
FORMS = ("json", "prov-json", "prov-n", "ivoa", "crate", "dot", "mermaid", "tree")


def main(workspace: str, reference: str) -> None:
    """Print a line a form."""
    print(f"{'form':10} {'wall s':>7} {'CPU s':>7} {'MB':>7}")
    for form in FORMS:
        with tempfile.TemporaryFile() as out:
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            words = [CLIO, "-q", "trace", reference, "--format", form, "-C", workspace]
            subprocess.run(words, stdout=out, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"{form:10} {time.monotonic() - began:7.1f} {cpu:7.1f} {out.tell() / 1e6:7.1f}", flush=True)
    print(f"largest memory {after.ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
