"""Every fault of pymusepipe has a test that is about it, and `docs/faults-of-pymusepipe.md` names it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "docs" / "faults-of-pymusepipe.md"
_ROW = re.compile(r"^\| F(\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)


def rows() -> dict[int, tuple[str, ...]]:
    """Read the tests of each fault from the table."""
    text = TABLE.read_text(encoding="utf-8")
    return {int(number): tuple(re.findall(r"`(\w+)`", tests)) for number, _, _, tests in _ROW.findall(text)}


def every_test() -> Iterator[tuple[str, str]]:
    """Yield the name of every test there is, and what it says of itself: docstring and cases."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                cases = map(ast.unparse, node.decorator_list)
                yield node.name, "\n".join((ast.get_docstring(node) or "", *cases))


ROWS = rows()
KNOWN = dict(every_test())


def test_all_38_are_there_in_their_order() -> None:
    assert list(ROWS) == list(range(1, 39))


@pytest.mark.parametrize("number", range(1, 39))
def test_a_fault_has_a_test_that_is_about_it(number: int) -> None:
    """By its name, `test_f07_...`, or by its docstring or a case, which say F7."""
    assert ROWS[number]
    for name in ROWS[number]:
        assert name in KNOWN, f"{name} of F{number} is not there"
        is_named = name.startswith(f"test_f{number:02d}_")
        assert is_named or re.search(rf"\bF{number}\b", KNOWN[name]), f"{name} is not about F{number}"
