"""The recipes of a crate as tools with formal parameters, their images, and the values that were given."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pipeline.exchange.graph import Graph
from pipeline.report import RunReport

Entity = dict[str, Any]

_RECIPES_AT = "https://www.eso.org/sci/software/pipelines/muse/"


def tool_id(report: RunReport) -> str:
    """Name a recipe as it is in one image: with another, other defaults and other results are possible."""
    return f"#recipe/{report.action.recipe}@{_digits(report.action.image)}"


def step_id(stage: str) -> str:
    """Name a stage of the plan."""
    return f"#stage/{stage}"


def image_id(image: str) -> str:
    """Name an image."""
    return f"#image/{image.partition(':')[2]}"


def parameter_id(tool: str, part: str, name: str) -> str:
    """Name what a recipe takes or gives: part is `input`, `output` or `parameter`."""
    return f"{tool}/{part}/{quote(name)}"


def parameter_value_id(tool: str, name: str, value: str) -> str:
    """Name a value that was given to a recipe, once for all runs that were given the same."""
    return f"{parameter_id(tool, 'parameter', name)}={quote(value, safe='')}"


def variable_value_id(name: str, value: str) -> str:
    """Name a variable of the environment with its value."""
    return f"{_variable_id(name)}={quote(value, safe='')}"


def tool_entities(graph: Graph) -> Iterator[Entity]:
    """Describe recipes, images, formal parameters, and the values that were given."""
    tools: dict[str, list[RunReport]] = {}
    for report in graph.runs.values():
        tools.setdefault(tool_id(report), []).append(report)
    for tool, reports in tools.items():
        yield from _tool(tool, reports)
    for image, platform in graph.images:
        yield {
            "@id": image_id(image),
            "@type": "ContainerImage",
            "additionalType": {"@id": "https://w3id.org/ro/terms/workflow-run#DockerImage"},
            "name": f"image of recipes for {platform}, by the digest of its configuration",
            "sha256": image.partition(":")[2],
        }
    variables = sorted({pair for report in graph.runs.values() for pair in report.action.environment})
    for name in dict.fromkeys(name for name, _ in variables):
        yield _formal(_variable_id(name), name, "Text")
    for name, value in variables:
        yield _value(variable_value_id(name, value), name, value, _variable_id(name))


def _tool(tool: str, reports: list[RunReport]) -> Iterator[Entity]:
    action = reports[0].action
    tags = {
        "input": sorted({item.tag for report in reports for item in report.run.inputs}),
        "output": sorted({item.tag for report in reports for item in report.run.outputs}),
    }
    names = sorted({name for report in reports for name, _ in report.action.parameters})
    given = sorted({pair for report in reports for pair in report.changed})
    defaults = {
        name: value
        for report in reports
        for name, value in report.action.parameters
        if name in report.run.defaults
    }
    versions = sorted({dict(report.run.software).get("recipe", "") for report in reports} - {""})
    variables = sorted({name for report in reports for name, _ in report.action.environment})
    yield {
        "@id": tool,
        "@type": "SoftwareApplication",
        "name": action.recipe,
        "softwareVersion": ", ".join(versions) or f"of image {_digits(action.image)}",
        "url": _RECIPES_AT,
        "input": [
            *({"@id": parameter_id(tool, "input", tag)} for tag in tags["input"]),
            *({"@id": parameter_id(tool, "parameter", name)} for name in names),
        ],
        "output": [{"@id": parameter_id(tool, "output", tag)} for tag in tags["output"]],
        "environment": [{"@id": _variable_id(name)} for name in variables],
    }
    for part, of_part in tags.items():
        for tag in of_part:
            yield _formal(parameter_id(tool, part, tag), tag, "File")
    for name in names:
        formal = _formal(parameter_id(tool, "parameter", name), name, "Text")
        yield formal | ({"defaultValue": defaults[name]} if name in defaults else {})
    for name, value in given:
        at_id = parameter_value_id(tool, name, value)
        yield _value(at_id, name, value, parameter_id(tool, "parameter", name))


def _formal(at_id: str, name: str, kind: str) -> Entity:
    return {"@id": at_id, "@type": "FormalParameter", "additionalType": kind, "name": name}


def _value(at_id: str, name: str, value: str, formal: str) -> Entity:
    entity = {"@id": at_id, "@type": "PropertyValue", "name": name, "value": value}
    return entity | {"exampleOfWork": {"@id": formal}}


def _variable_id(name: str) -> str:
    return f"#variable/{quote(name)}"


def _digits(digest: str) -> str:
    return digest.partition(":")[2][:12]
