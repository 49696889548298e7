# SPDX-License-Identifier: Apache-2.0
"""Every verification case at the resolution of the default run, and, slow, at its finest."""

import pytest

from tests.verification.cases import CASES


def parameters(finest: bool):
    for key, case in CASES.items():
        resolution = case.resolutions[-1] if finest else case.quick
        if finest and resolution == case.quick:
            continue
        for quantity, limit in case.limits.items():
            marks = [pytest.mark.slow] if finest or case.slow else []
            if quantity in case.misses and resolution == case.resolutions[-1]:
                marks.append(pytest.mark.xfail(reason=case.misses[quantity], strict=True))
            yield pytest.param(case, resolution, quantity, limit, id=f"{key}-{resolution}-{quantity}", marks=marks)


_OUTCOMES = {}


@pytest.mark.parametrize(("case", "resolution", "quantity", "limit"), [*parameters(False), *parameters(True)])
def test_case(case, resolution, quantity, limit):
    if (case.key, resolution) not in _OUTCOMES:  # one run serves all quantities
        _OUTCOMES[case.key, resolution] = case.run(resolution)
    error = _OUTCOMES[case.key, resolution].errors[quantity]
    print(f"\nmeasured {case.key}, {resolution} {case.unit}: {quantity} {error:.2e}, limit {limit:g}")
    assert error <= limit


def test_every_quantity_of_a_case_has_a_limit():
    case = CASES["bar"]
    assert set(case.run(case.resolutions[0]).errors) == set(case.limits)
    for case in CASES.values():
        assert case.quick in case.resolutions
        assert set(case.misses) <= set(case.limits)


@pytest.mark.parametrize("key", ["sloshing", "bar", "couette", "dam_break"])
def test_error_falls_with_resolution(key):
    case = CASES[key]
    (quantity,) = case.limits
    coarse, fine = (case.run(resolution).errors[quantity] for resolution in case.resolutions[:2])
    assert fine < 0.7 * coarse
