"""The few functions numpy lacks."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulate.mathematics import (
    erf,
    normal_cdf,
    random_stream,
    settle,
    settle_digits,
    smooth_interp,
)


@given(st.floats(-8.0, 8.0))
def test_erf_agrees_with_the_standard_library(x: float) -> None:
    assert abs(math.erf(x) - float(erf(np.array(x)))) < 2e-7


def test_normal_cdf_is_one_half_in_the_middle() -> None:
    assert abs(0.5 - float(normal_cdf(np.array(0.0)))) < 1e-9


def test_smooth_interp_goes_through_its_nodes_and_is_flat_outside() -> None:
    nodes = ((1.0, 2.0), (2.0, 5.0), (4.0, 3.0))

    values = smooth_interp(np.array([0.0, 1.0, 2.0, 4.0, 9.0]), nodes)

    np.testing.assert_allclose(values, [2.0, 2.0, 5.0, 3.0, 3.0])


@given(st.floats(0.0, 1e5), st.sampled_from([1.0 - 2e-16, 1.0 + 2e-16]))
def test_settled_values_hide_the_last_digit_but_at_ties(value: float, error: float) -> None:
    step = 2.0**-12
    there, near = settle(np.array(value), step), settle(np.array(value * error), step)

    assert abs(float(there) - value) <= step / 2
    tie = abs((value / step) % 1.0 - 0.5) < 1e-6
    assert tie or float(there) == float(near)


@given(st.floats(1e-20, 1e20))
def test_settle_digits_keeps_eleven_digits(value: float) -> None:
    assert abs(float(settle_digits(np.array(value))) / value - 1.0) < 2e-11


def test_random_stream_belongs_to_its_key_alone() -> None:
    first = random_stream(1, "OBJECT-1", 2).standard_normal(4)
    random_stream(1, "OBJECT-2", 2).standard_normal(4)

    again = random_stream(1, "OBJECT-1", 2).standard_normal(4)

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, random_stream(1, "OBJECT-1", 1).standard_normal(4))
    assert not np.array_equal(first, random_stream(2, "OBJECT-1", 2).standard_normal(4))
