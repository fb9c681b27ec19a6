"""A lineage in the terms of the IVOA, against the classes of the recommendation."""

import warnings
from dataclasses import dataclass
from typing import Any

import pytest
from history import IMAGE, History

from pipeline.exchange.graph import Graph
from pipeline.exchange.ivoa import ivoa_document
from pipeline.exchange.provdoc import prov_json_text
from pipeline.image.recipes import RecipeParameter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from prov.model import ProvDocument


@dataclass(frozen=True)
class Class:
    """A class of the model: what it must have, what it may have, and to which class each reference leads."""

    required: frozenset[str]
    optional: frozenset[str]
    references: dict[str, str]


def _class(required: str = "", optional: str = "", **references: str) -> Class:
    return Class(frozenset(required.split()), frozenset(optional.split()), references)


MODEL = {
    "Activity": _class(optional="name comment", activityDescription="ActivityDescription"),
    "DatasetEntity": _class(
        optional="name location generatedAtTime invalidatedAtTime comment",
        entityDescription="DatasetDescription",
    ),
    "Agent": _class("name", "type comment email affiliation phone address url"),
    "Used": _class(optional="role time", usageDescription="UsageDescription"),
    "WasGeneratedBy": _class(optional="role", generationDescription="GenerationDescription"),
    "WasAssociatedWith": _class(optional="role"),
    "WasConfiguredBy": _class("artefactType"),
    "ActivityDescription": _class("name", "version description docurl type subtype"),
    "UsageDescription": _class(
        "role",
        "description type multiplicity",
        activityDescription="ActivityDescription",
        entityDescription="DatasetDescription",
    ),
    "GenerationDescription": _class(
        "role",
        "description type multiplicity",
        activityDescription="ActivityDescription",
        entityDescription="DatasetDescription",
    ),
    "DatasetDescription": _class("name contentType", "description docurl type"),
    "ParameterDescription": _class(
        "name valueType",
        "unit ucd utype min max default options description",
        activityDescription="ActivityDescription",
    ),
    "Parameter": _class("name value", parameterDescription="ParameterDescription"),
}
"""From the tables of IVOA Provenance Data Model 1.0, sections 2 and 3; `id` is the name of the record, times
of activities are PROV's. A description that the model has as a part of an activity's points to it."""

DECLARED = {
    (IMAGE, "muse_flat"): (
        RecipeParameter("muse.muse_flat.order", "order", "5", "int", (), "1", "9", "Order of the fit"),
        RecipeParameter(
            "muse.muse_flat.combine", "combine", "sigclip", "string", ("sigclip", "mean"), None, None, ""
        ),
    )
}


def read(document: Any) -> dict[str, list[Any]]:
    """Read with the package `prov`; records by their class of the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = ProvDocument.deserialize(content=prov_json_text(document), format="json")
    found: dict[str, list[Any]] = {}
    for record in opened.get_records():
        kinds = [t.localpart for t in record.get_asserted_types() if t.namespace.prefix == "voprov"]
        found.setdefault(kinds[0] if kinds else "", []).append(record)
    return found


def _terms(record: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in record.extra_attributes:
        if name.namespace.prefix == "voprov":
            found.setdefault(name.localpart, []).append(value)
    return found


@pytest.fixture
def records(graph: Graph) -> dict[str, list[Any]]:
    return read(ivoa_document(graph, DECLARED))


def test_every_record_is_whole_by_its_class(records: dict[str, list[Any]]) -> None:
    where = {str(r.identifier): kind for kind, all_ in records.items() for r in all_ if r.identifier}
    for kind, of_kind in records.items():
        if not kind:
            assert {r.get_type().localpart for r in of_kind} == {"Communication"}
            continue
        model = MODEL[kind]
        for record in of_kind:
            terms = _terms(record)
            assert model.required <= terms.keys(), (kind, record)
            assert terms.keys() <= model.required | model.optional | model.references.keys(), (kind, record)
            assert all(len(values) == 1 for name, values in terms.items() if name != "options"), record
            for name, target in model.references.items():
                for value in terms.get(name, ()):
                    assert where[str(value)] == target


def test_the_classes_asked_for_are_there(records: dict[str, list[Any]]) -> None:
    assert records.keys() - {""} == MODEL.keys()


def test_roles_are_the_tags_of_the_set_of_frames(records: dict[str, list[Any]], history: History) -> None:
    of_flat = [r for r in records["Used"] if str(r.args[0]) == f"run:{history.flat.run}"]
    roles = {str(r.args[1]): str(*_terms(r)["role"]) for r in of_flat}

    assert roles == {f"sha256:{i.digest[7:]}": i.tag for i in history.flat.inputs}
    described = {str(r.identifier): str(*_terms(r)["role"]) for r in records["UsageDescription"]}
    for record in of_flat:
        assert described[str(*_terms(record)["usageDescription"])] == str(*_terms(record)["role"])


def test_an_entity_is_made_by_one_activity_at_most(records: dict[str, list[Any]]) -> None:
    made = [str(record.args[0]) for record in records["WasGeneratedBy"]]

    assert len(made) == len(set(made)) == 4


def test_parameters_are_described_as_the_recipe_declares_them(records: dict[str, list[Any]]) -> None:
    described = {str(*_terms(r)["name"]): _terms(r) for r in records["ParameterDescription"]}

    order, combine = described["muse.muse_flat.order"], described["muse.muse_flat.combine"]
    assert {name: str(order[name][0]) for name in ("valueType", "default", "min", "max", "description")} == {
        "valueType": "int",
        "default": "5",
        "min": "1",
        "max": "9",
        "description": "Order of the fit",
    }
    assert sorted(map(str, combine["options"])) == ["mean", "sigclip"]
    assert str(*described["muse.muse_bias.order"]["valueType"]) == "int"
    assert str(*described["muse.muse_bias.combine"]["valueType"]) == "char(*)"
    assert str(*described["muse.muse_bias.combine"]["default"]) == "sigclip"


def test_what_was_set_configured_the_run(records: dict[str, list[Any]], history: History) -> None:
    (configured,) = records["WasConfiguredBy"]
    (parameter,) = records["Parameter"]

    assert str(configured.args[0]) == f"run:{history.flat.run}"
    assert str(configured.args[1]) == str(parameter.identifier)
    assert [str(*_terms(parameter)[name]) for name in ("name", "value")] == ["muse.muse_flat.order", "7"]
    assert str(*_terms(configured)["artefactType"]) == "Parameter"


def test_times_of_entities_are_written_as_the_ivoa_does(records: dict[str, list[Any]]) -> None:
    times = {str(value) for r in records["DatasetEntity"] for value in _terms(r).get("generatedAtTime", ())}

    assert "2026-11-23T00:01:12.500" in times
    assert not any(time.endswith("Z") for time in times)


def test_the_same_lineage_is_written_the_same(graph: Graph) -> None:
    assert prov_json_text(ivoa_document(graph, {})) == prov_json_text(ivoa_document(graph, {}))
    assert "/data/" not in prov_json_text(ivoa_document(graph, {}))
