"""Puts this folder on the path of imports, so that every test finds `builders` and `fakes`.

What asserts beside the tests is rewritten as they are, so that a failure says what was found.
"""

import pytest
from hypothesis import HealthCheck, settings

# A machine that does something else meanwhile must not turn a property red.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest.register_assert_rewrite("tests.faults.yard")
