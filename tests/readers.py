"""Readers that others wrote of what Clio exports, each in a process of its own: they warn, log, and dial out.

The validator wants the context of RO-Crate 1.1 from the web. `ro_crate_1_1.json` holds the terms of it that a
crate of ours may use, as the specification spells them (CC0), and is put where the validator keeps what it
fetched. A term that is not in there is a fault.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

CONTEXT = Path(__file__).with_name("ro_crate_1_1.json")

PROFILES = ("ro-crate-1.1", "provenance-run-crate-0.5")

_VALIDATE = """
    import io, json, logging, sys
    import requests, urllib3
    from rocrate_validator import services
    from rocrate_validator.models import Severity, ValidationSettings
    from rocrate_validator.utils.http import HttpRequester

    crate, context, cache, *profiles = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    content = open(context, "rb").read()
    session = HttpRequester.initialize_cache(cache_path=cache, cache_max_age=-1).session
    asked = requests.Request("GET", "https://w3id.org/ro/crate/1.1/context").prepare()
    answer = requests.Response()
    answer.status_code, answer.url, answer.request = 200, asked.url, asked
    answer.headers["Content-Type"], answer._content = "application/ld+json", content
    answer.raw = urllib3.HTTPResponse(io.BytesIO(content), dict(answer.headers), 200, preload_content=False)
    session.cache.save_response(answer, session.cache.create_key(asked))
    found = []
    for profile in profiles:
        settings = ValidationSettings(
            rocrate_uri=crate, profile_identifier=profile, requirement_severity=Severity.REQUIRED,
            offline=True, cache_path=cache, cache_max_age=-1,
        )
        result = services.validate(settings)
        assert len(result.executed_checks) > 20, profile
        found += [f"{profile} {issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
    print("FAULTS " + json.dumps(found))
"""


def crate_faults(crate: Path, scratch: Path) -> list[str]:
    """List what the validator of RO-Crates finds that a profile requires otherwise.

    Parameters
    ----------
    crate : Path
        A folder or zip file that holds an `ro-crate-metadata.json`.
    scratch : Path
        An empty folder for what the validator fetched.
    """
    told = _python(_VALIDATE, crate, CONTEXT, scratch / "fetched", *PROFILES)
    line = next(line for line in told.splitlines() if line.startswith("FAULTS "))
    faults: list[str] = json.loads(line.removeprefix("FAULTS "))
    return faults


def runcrate_report(crate: Path) -> str:
    """Let `runcrate report` tell the actions of a crate."""
    return _python("import sys; from runcrate.report import dump_crate_actions as d; d(sys.argv[1])", crate)


def _python(script: str, *arguments: Path | str) -> str:
    words = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


_PROV = """
    import json, sys
    from prov.model import ProvDocument

    read = ProvDocument.deserialize(sys.argv[1], format="json")
    again = ProvDocument.deserialize(content=read.serialize(format="json"), format="json")
    assert read == again
    named = {str(r.identifier): r.get_type().localpart for r in read.get_records() if r.identifier}
    print(json.dumps(named))
"""


def prov_records(path: Path) -> dict[str, str]:
    """Let the package `prov` read PROV-JSON, write it and read it again; its elements and their types."""
    found: dict[str, str] = json.loads(_python(_PROV, path))
    return found
