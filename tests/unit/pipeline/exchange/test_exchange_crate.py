"""A lineage as a Provenance Run Crate; tests/integration holds it against the readers of others."""

import base64
import json
from typing import Any

from history import IMAGE, History

from pipeline.exchange.crate import crate
from pipeline.exchange.graph import Graph, read_graph
from provenance.digest import canonical_json, digest_bytes
from provenance.store import Store


def _by_id(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entity["@id"]: entity for entity in document["@graph"]}


def test_a_file_is_named_by_its_path_inside_or_by_its_digest(graph: Graph, history: History) -> None:
    inside, outside = history.flat.outputs
    found = _by_id(crate(graph, {inside.digest: "objects/a b"}))

    assert found["objects/a%20b"]["name"] == inside.name
    assert found["objects/a%20b"]["sha256"] == inside.digest[7:]
    assert found["objects/a%20b"]["identifier"] == inside.data_digest
    name = base64.urlsafe_b64encode(bytes.fromhex(outside.digest[7:])).decode().rstrip("=")
    assert found[f"ni:///sha-256;{name}"]["sha256"] == outside.digest[7:]


def test_defaults_stand_at_the_recipe_and_the_rest_at_the_run(graph: Graph, history: History) -> None:
    found = _by_id(crate(graph, {}))
    recipe = "#recipe/muse_flat@5a5a5a5a5a5a"

    assert found[f"{recipe}/parameter/muse.muse_flat.combine"]["defaultValue"] == "sigclip"
    assert "defaultValue" not in found[f"{recipe}/parameter/muse.muse_flat.order"]
    assert found[f"{recipe}/parameter/muse.muse_flat.order=7"]["value"] == "7"
    used = found[f"#run/{history.flat.run}"]["object"]
    assert used[-1] == {"@id": f"{recipe}/parameter/muse.muse_flat.order=7"}
    assert len(used) == len(history.flat.inputs) + 1


def test_image_times_usage_and_failure_are_said(store: Store, history: History) -> None:
    found = _by_id(crate(read_graph(store, [history.bias.outputs[0].digest], down=True), {}))
    broken = found[f"#run/{history.broken.run}"]

    assert broken["containerImage"] == {"@id": f"#image/{IMAGE[7:]}"}
    assert found[f"#image/{IMAGE[7:]}"]["sha256"] == IMAGE[7:]
    assert broken["error"] == "muse_flat: no light in IFU 2"
    assert broken["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert broken["startTime"] == "2026-11-23T00:03:00.000+00:00"
    assert found[f"#usage/{history.broken.run}/peak_memory_bytes"]["value"] == "907300000"


def test_the_same_graph_gives_the_same_bytes_and_no_place_or_host(
    graph: Graph, store: Store, history: History
) -> None:
    """Promise 2."""
    again = read_graph(store, [history.exposure.outputs[0].digest])
    first, second = (canonical_json(crate(g, {})) for g in (graph, again))

    assert first == second
    assert b"/data/raw" not in first
    document = json.loads(first)
    assert document["@graph"][1]["datePublished"] == "2026-11-23T00:04:12.500+00:00"
    names = [entity["@id"] for entity in document["@graph"][2:]]
    assert names == sorted(set(names))


def test_the_plan_may_be_a_file_that_is_in_the_crate_by_its_digest_too(graph: Graph) -> None:
    digest = digest_bytes(b"plan")
    document = crate(graph, {digest: "clio-bundle.json"}, plan="clio-bundle.json")
    plan = _by_id(document)["clio-bundle.json"]

    assert (plan["sha256"], plan["name"]) == (digest[7:], "Reduction of MUSE data")
    assert "ComputationalWorkflow" in plan["@type"]
    assert document["@graph"][1]["mainEntity"] == {"@id": "clio-bundle.json"}


def test_what_was_said_of_an_action_is_about_its_runs(store: Store, history: History) -> None:
    said = store.statement("note", {"action": history.flat.action, "reason": "odd", "at": history.flat.ended})
    found = _by_id(crate(read_graph(store, [history.exposure.outputs[0].digest]), {}))

    told = found[f"#statement/{said.digest[7:]}"]
    assert (told["name"], told["text"]) == ("note", "odd")
    assert told["about"] == {"@id": f"#run/{history.flat.run}"}
