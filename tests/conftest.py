"""Puts this folder on the path of imports, so that every test finds `builders` and `fakes`.

What asserts beside the tests is rewritten as they are, so that a failure says what was found.
"""

import pytest

pytest.register_assert_rewrite("tests.faults.yard")
