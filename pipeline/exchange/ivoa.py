"""A lineage in the words of the IVOA's Provenance Data Model, as W3C PROV with the terms of `voprov`.

Activities, entities and agents are those of `prov.py`. What the model adds stands in entities whose
`prov:type` is the model's class, and whose attributes and references are the model's by name.

References
----------
IVOA Recommendation 2020-04-11, Provenance Data Model 1.0; VOTable 1.3, section 4.1, for types of values.
"""

from collections.abc import Iterator, Mapping

from pipeline.exchange.graph import Graph
from pipeline.exchange.prov import PREFIXES, hashed, local, recipe_name
from pipeline.exchange.provdoc import Attribute, Document, Name, Record, prefixes_used
from pipeline.image.recipes import RecipeParameter
from pipeline.parameters import default_of
from pipeline.report import RunReport

Declared = Mapping[tuple[str, str], tuple[RecipeParameter, ...]]
"""What recipes say of their parameters, by image and recipe."""

_TYPES = {"int": "int", "double": "double", "bool": "boolean", "string": "char(*)"}
"""VOTable's datatype and arraysize, by the recipes' word."""

_RANK = ("boolean", "int", "double", "char(*)")

_DOCS = "https://www.eso.org/sci/software/pipelines/muse/"


def ivoa_document(graph: Graph, declared: Declared) -> Document:
    """Say a lineage in the terms of the IVOA.

    Parameters
    ----------
    graph : Graph
        The lineage.
    declared : mapping
        What the recipes of its images declare, as far as those images are known here. Of other recipes the
        type of a parameter is the narrowest that fits all values in the lineage.

    Notes
    -----
    A parameter that is at its default is told by the `default` of its ParameterDescription alone; any other
    is a Parameter by which the activity was configured. Times of activities are those of PROV.
    """
    recipes: dict[str, list[RunReport]] = {}
    for report in graph.runs.values():
        recipes.setdefault(recipe_name(report), []).append(report)
    records = (
        *_entities(graph),
        *(record for reports in recipes.values() for record in _described(reports, declared)),
        *(_activity(report) for report in graph.runs.values()),
        *_agents(graph),
        *(record for report in graph.runs.values() for record in _relations(graph, report)),
    )
    return Document(prefixes_used(PREFIXES, records), records)


def _is(kind: str, **attributes: str | Name | None) -> tuple[Attribute, ...]:
    """Give the attributes of something that the model has a class for."""
    known = ((f"voprov:{name}", value) for name, value in attributes.items())
    kinds: tuple[Attribute, ...] = (("prov:type", Name(f"voprov:{kind}")),)
    return (*kinds, *((name, value) for name, value in known if value))


def _entities(graph: Graph) -> Iterator[Record]:
    for digest, node in graph.files.items():
        maker = graph.runs.get(node.made_by or "")
        yield Record(
            "entity",
            (hashed(digest),),
            _is(
                "DatasetEntity",
                name=node.name,
                generatedAtTime=_date(maker.run.ended) if maker else None,
                comment=node.data_digest,
                entityDescription=Name(_dataset(node.tag)),
            ),
        )
    forms: dict[str, bool] = {}
    for node in graph.files.values():
        forms[node.tag] = forms.get(node.tag, False) or node.data_digest is not None
    for tag, is_fits in sorted(forms.items()):
        content = "application/fits" if is_fits else "application/octet-stream"
        yield Record("entity", (_dataset(tag),), _is("DatasetDescription", name=tag, contentType=content))


def _described(reports: list[RunReport], declared: Declared) -> Iterator[Record]:
    """Describe a recipe as it is in one image: what it reads and makes, and what may be set."""
    action, own = reports[0].action, _recipe(reports[0])
    versions = sorted({dict(r.run.software).get("recipe", "") for r in reports} - {""})
    yield Record(
        "entity",
        (own,),
        _is(
            "ActivityDescription",
            name=action.recipe,
            version=", ".join(versions),
            type="Reduction",
            description=f"recipe of the image {action.image}",
            docurl=_DOCS,
        ),
    )
    least = {item.tag: item.least for report in reports for item in report.action.outputs}
    for tag in sorted({item.tag for report in reports for item in report.run.inputs}):
        about = _is(
            "UsageDescription",
            role=tag,
            activityDescription=Name(own),
            entityDescription=Name(_dataset(tag)),
        )
        yield Record("entity", (_usage(reports[0], tag),), about)
    for tag in sorted({item.tag for report in reports for item in report.run.outputs}):
        about = _is(
            "GenerationDescription",
            role=tag,
            multiplicity=f"{least[tag]}..*" if tag in least else None,
            activityDescription=Name(own),
            entityDescription=Name(_dataset(tag)),
        )
        yield Record("entity", (_generation(reports[0], tag),), about)
    yield from _parameters(reports, {p.name: p for p in declared.get((action.image, action.recipe), ())})


def _parameters(reports: list[RunReport], declared: Mapping[str, RecipeParameter]) -> Iterator[Record]:
    values: dict[str, set[str]] = {}
    defaults: dict[str, str] = {}
    for report in reports:
        for name, value in report.action.parameters:
            values.setdefault(name, set()).add(value)
            if name in report.run.defaults:
                defaults[name] = value
    for name in sorted(values):
        known = declared.get(name)
        about = _is(
            "ParameterDescription",
            name=name,
            valueType=_TYPES[known.kind] if known else _narrowest(values[name]),
            default=default_of(known) if known else defaults.get(name),
            min=known.low if known else None,
            max=known.high if known else None,
            description=known.help if known else None,
            activityDescription=Name(_recipe(reports[0])),
        )
        options = tuple(("voprov:options", choice) for choice in (known.choices if known else ()))
        yield Record("entity", (_parameter(reports[0], name),), (*about, *options))
    for name, value in sorted({pair for report in reports for pair in report.changed}):
        described = _parameter(reports[0], name)
        about = _is("Parameter", name=name, parameterDescription=Name(described))
        yield Record("entity", (_value(described, value),), (*about, ("voprov:value", value)))


def _activity(report: RunReport) -> Record:
    run = report.run
    remarks = (run.status.value, *((run.reason,) if run.reason else ()), *run.caveats)
    about = _is(
        "Activity",
        name=f"{report.action.recipe} of {report.step}",
        comment="; ".join(remarks),
        activityDescription=Name(_recipe(report)),
    )
    return Record("activity", (f"run:{run.run}", run.started, run.ended), about)


def _agents(graph: Graph) -> Iterator[Record]:
    for number in sorted({_clio(report) for report in graph.runs.values()}):
        about = _is("Agent", name=f"Clio {number}".strip(), type="SoftwareAgent")
        yield Record("agent", (_agent(number),), (("prov:type", Name("prov:SoftwareAgent")), *about))


def _relations(graph: Graph, report: RunReport) -> Iterator[Record]:
    run, name = report.run, f"run:{report.run.run}"
    for item in run.inputs:
        about = _is("Used", role=item.tag, usageDescription=Name(_usage(report, item.tag)))
        yield Record("used", (name, hashed(item.digest), None), (("prov:role", item.tag), *about))
    for made in run.outputs:
        about = _is(
            "WasGeneratedBy", role=made.tag, generationDescription=Name(_generation(report, made.tag))
        )
        yield Record(
            "wasGeneratedBy", (hashed(made.digest), name, run.ended), (("prov:role", made.tag), *about)
        )
    for parameter, value in report.changed:
        about = _is("WasConfiguredBy", artefactType="Parameter")
        yield Record("wasInfluencedBy", (name, _value(_parameter(report, parameter), value)), about)
    makers = (graph.files[item.digest].made_by for item in run.inputs)
    for maker in dict.fromkeys(m for m in makers if m in graph.runs):
        yield Record("wasInformedBy", (name, f"run:{maker}"))
    yield Record(
        "wasAssociatedWith", (name, _agent(_clio(report)), None), _is("WasAssociatedWith", role="operator")
    )


def _narrowest(values: set[str]) -> str:
    """Tell which type fits all values."""
    return max((_fitting(value) for value in values), key=_RANK.index)


def _fitting(value: str) -> str:
    if value in ("TRUE", "FALSE"):
        return "boolean"
    for kind, read in (("int", int), ("double", float)):
        try:
            read(value)
        except ValueError:
            continue
        return kind
    return "char(*)"


def _date(text: str | None) -> str | None:
    """Write a time as the IVOA does: UTC, and no letter that says so."""
    return None if text is None else text.removesuffix("Z")


def _clio(report: RunReport) -> str:
    return dict(report.run.software).get("clio", "")


def _agent(number: str) -> str:
    return f"program:{local('clio ' + number)}"


def _recipe(report: RunReport) -> str:
    return recipe_name(report)


def _dataset(tag: str) -> str:
    return f"tag:{local(tag)}"


def _usage(report: RunReport, tag: str) -> str:
    return f"{_recipe(report)}.used.{local(tag)}"


def _generation(report: RunReport, tag: str) -> str:
    return f"{_recipe(report)}.made.{local(tag)}"


def _parameter(report: RunReport, name: str) -> str:
    return f"{_recipe(report)}.set.{local(name)}"


def _value(described: str, value: str) -> str:
    """Name a value: by itself if it can stand in a name, else by its characters as numbers."""
    spelled = value if value and local(value) == value else "_" + value.encode().hex()
    return f"{described}.is.{spelled}"
