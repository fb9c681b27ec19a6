"""Puts this folder on the path of imports, so that every test finds `builders` and `fakes`.

What asserts beside the tests is rewritten as they are, so that a failure says what was found. Tests with real
recipes go to two processes: what shares the reduced night stays in one, and begins first, as it takes
longest; of the rest each file stays together, for what its fixtures make.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.faults.yard")

_REAL = ("integration", "end_to_end")
_NIGHT = "night"


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Tell `--dist loadgroup` what belongs together."""
    root = Path(__file__).parent
    groups = {item: _group(item, root) for item in items}
    for item, group in groups.items():
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
    yield
    if config.getoption("dist", "no") == "loadgroup" or hasattr(config, "workerinput"):
        items.sort(key=lambda item: groups.get(item) != _NIGHT)


def _group(item: pytest.Item, root: Path) -> str:
    if item.path.relative_to(root).parts[0] not in _REAL:
        return ""
    if not isinstance(item, pytest.Function):
        return item.path.stem
    made = item._fixtureinfo.name2fixturedefs.get("reduced", ())
    return _NIGHT if any(fixture.scope == "session" for fixture in made) else item.path.stem
