"""Answers keep what /openapi.json promises, whatever is asked: made up from the document itself by Schemathesis."""

import os
import warnings

import pytest
from hypothesis import HealthCheck, given, settings

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis
        from schemathesis.checks import CHECKS
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    pytest.skip("Schemathesis is not installed", allow_module_level=True)

# What can't be said in the document: ids that agree with each other, names that must be known. And it takes whole
# numbers as names, and judges the entries of a list one by one.
BEYOND = ("positive_data_acceptance", "negative_data_rejection")


def test_every_operation(still):
    schema = schemathesis.openapi.from_asgi("/openapi.json", still.app)
    left_out = [check for name in BEYOND for check in CHECKS.get_by_names([name])]
    checked = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def keeps_its_promise(case):
            case.call_and_validate(excluded_checks=left_out)

        keeps_its_promise()
        checked += 1
    assert checked == 34
