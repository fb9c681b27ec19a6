"""`trace --format`: each form on stdout, alone and readable."""

import json
from collections.abc import Callable

import pytest
from history import History
from typer.testing import Result

from pipeline.errors import UsageError

Clio = Callable[..., Result]


def printed(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, ""), result.exception
    return result.stdout


def test_a_lineage_as_json_flags_the_defaults(clio: Clio, history: History) -> None:
    found = json.loads(printed(clio("trace", "flat", "--format", "json")))

    assert (found["schema"], found["direction"]) == ("clio-lineage/1", "up")
    assert found["roots"] == [item.digest for item in history.flat.outputs]
    bias, flat = found["runs"]
    assert [bias["run"], flat["run"]] == [history.bias.run, history.flat.run]
    assert flat["parameters"] == [
        {"name": "muse.muse_flat.combine", "value": "sigclip", "is_default": True},
        {"name": "muse.muse_flat.order", "value": "7", "is_default": False},
    ]
    assert {row["tag"]: row["kind"] for row in found["files"]} == {
        "BADPIX_TABLE": "static",
        "BIAS": "raw",
        "FLAT": "raw",
        "MASTER_BIAS": "product",
        "MASTER_FLAT": "product",
        "TRACE_TABLE": "product",
    }
    assert "seen_at" not in json.dumps(found)


@pytest.mark.parametrize("form", ["prov-json", "ivoa"])
def test_prov_json_is_json_with_its_prefixes(form: str, clio: Clio, history: History) -> None:
    found = json.loads(printed(clio("trace", "flat", "--format", form)))

    assert {"prefix", "entity", "activity", "agent", "used", "wasGeneratedBy"} <= found.keys()
    assert len(found["activity"]) >= 2
    assert ("voprov" in found["prefix"]) == (form == "ivoa")


def test_prov_n_is_one_document(clio: Clio, history: History) -> None:
    lines = printed(clio("trace", "flat", "--format", "prov-n")).splitlines()

    assert (lines[0], lines[-1]) == ("document", "endDocument")
    assert sum(line.startswith("  activity(run:") for line in lines) == 2


def test_a_crate_names_its_profile(clio: Clio, history: History) -> None:
    found = json.loads(printed(clio("trace", "flat", "--format", "crate")))

    assert found["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    profiles = {item["@id"] for item in found["@graph"][1]["conformsTo"]}
    assert "https://w3id.org/ro/wfrun/provenance/0.5" in profiles


@pytest.mark.parametrize("form", ["json", "prov-json", "prov-n", "ivoa", "crate"])
def test_every_form_goes_down_too_and_says_the_same_every_time(
    form: str, clio: Clio, history: History
) -> None:
    """Promise 2."""
    frame = history.bias.inputs[0].digest
    first = printed(clio("trace", frame, "--down", "--format", form))

    assert first == printed(clio("trace", frame, "--down", "--format", form))
    assert history.exposure.run in first


@pytest.mark.parametrize("form", ["json", "prov-json", "prov-n", "ivoa", "crate"])
def test_a_run_that_made_nothing_has_no_lineage(form: str, clio: Clio, history: History) -> None:
    refused = clio("trace", history.broken.run, "--format", form).exception

    assert isinstance(refused, UsageError)
    assert "made nothing" in refused.message


@pytest.mark.parametrize("form", ["json", "prov-json", "prov-n", "ivoa", "crate"])
def test_a_frame_from_outside_has_no_lineage_upwards(form: str, clio: Clio, history: History) -> None:
    refused = clio("trace", history.bias.inputs[0].digest, "--format", form).exception

    assert isinstance(refused, UsageError)
    assert refused.message.endswith("there is no lineage to tell")
    assert "--down" in refused.hint
