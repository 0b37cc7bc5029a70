"""Expressions as GitHub documents them; what goes beyond the subset is a fault by name."""

import pytest

from tools.sandbox.github.actions.expressions import (
    ExpressionFaultError,
    Status,
    condition,
    evaluate,
    interpolate,
)

CONTEXTS = {
    "inputs": {"mode": "plan", "empty": "", "count": "3"},
    "github": {"sha": "abc", "event_name": "workflow_dispatch", "event": {"inputs": {"x": "y"}}},
    "steps": {"one": {"outputs": {"my-out": "v"}}},
    "env": {"A": "a"},
    "vars": {},
}

VALUES = [
    ("'it''s'", "it's"),
    ("true", True),
    ("null", None),
    ("-1.5", -1.5),
    ("inputs.mode", "plan"),
    ("inputs['mode']", "plan"),
    ("github.event.inputs.x", "y"),
    ("steps.one.outputs.my-out", "v"),
    ("steps.none.outputs.x", None),
    ("vars.ANY", None),
    ("'PLAN' == inputs.mode", True),
    ("inputs.count == 3", True),
    ("inputs.none == ''", True),
    ("inputs.mode != 'apply'", True),
    ("inputs.mode || 'plan'", "plan"),
    ("inputs.empty || 'default'", "default"),
    ("inputs.mode && github.sha", "abc"),
    ("inputs.empty && github.sha", ""),
    ("!inputs.empty", True),
    ("!(inputs.mode == 'plan' && true)", False),
    ("'a' == 'b' || 'c' == 'c'", True),
    ("1 < 2", True),
    ("2 <= 1", False),
    ("contains('Hello', 'ell')", True),
    ("startsWith(github.event_name, 'workflow_')", True),
    ("endsWith('abc', 'bc')", True),
    ("format('{0}-{{x}}-{1}', inputs.mode, 1)", "plan-{x}-1"),
    ("fromJSON('[1,2]')", [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_an_expression_has_githubs_value(text: str, value: object) -> None:
    assert evaluate(text, CONTEXTS) == value


@pytest.mark.parametrize(
    "text",
    ["", "inputs.", "inputs.mode ==", "matrix.os", "hashFiles('x')", "success()", "inputs.mode 'x'", "'open", "a ? b : c", "fromJSON('x')", "contains('a')", "(true", "format('{9}', 1)", "inputs[", "steps.*.outputs"],
)  # fmt: skip
def test_what_is_beyond_the_subset_is_a_fault_by_name(text: str) -> None:
    with pytest.raises(ExpressionFaultError):
        evaluate(text, CONTEXTS)


CONDITIONS = [
    (None, False, True),
    (None, True, False),
    ("true", False, True),
    ("true", True, False),
    (True, True, False),
    ("always()", True, True),
    ("failure()", True, True),
    ("failure()", False, False),
    ("!cancelled()", True, True),
    ("${{ inputs.mode == 'plan' }}", False, True),
    ("${{ inputs.mode == 'plan' }}", True, False),
    ("always() && inputs.mode == 'apply'", False, False),
    ("success() || failure()", True, True),
]


@pytest.mark.parametrize(("text", "failed", "holds"), CONDITIONS)
def test_a_condition_asks_for_success_unless_it_speaks_of_status(
    text: object, failed: bool, holds: bool
) -> None:
    assert condition(text, CONTEXTS, Status(failed=failed)) is holds


def test_holes_are_filled_as_text() -> None:
    text = "a ${{ inputs.mode }} ${{ true }} ${{ vars.none }} ${{ 1 == 1 && 'x' }} $A ${A}"
    assert interpolate(text, CONTEXTS) == "a plan true  x $A ${A}"
