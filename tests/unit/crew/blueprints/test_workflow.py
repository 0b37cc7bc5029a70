"""The workflow, read as GitHub reads it: what may start it, what it may do, and in which order."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from knowledge.blueprint import load_all
from knowledge.pins import PINS
from knowledge.pins import load as load_pins
from knowledge.rendering import RenderContext, render

BLUEPRINT = load_all()["terraform-workflow"]
CONTEXT = RenderContext(
    change_id="cs-0123456789abcdef",
    clone_url="https://github.example/a/b.git",
    pins=load_pins(PINS),
    base_branch="trunk",
)
TEXT = render(BLUEPRINT, BLUEPRINT.parameters({"root": "edge"}), CONTEXT)[
    ".github/workflows/terraform.yml"
].decode()
FLOW: dict[Any, Any] = yaml.safe_load(TEXT)
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
KNOWN = re.compile(
    r"(inputs|vars|steps|needs|env)\.[\w.]+|github\.(sha|ref|event_name|repository|run_id|token)|'[^']*'|==|!=|&&|\|\||[()\s]|success|always"
)


CONDITIONS = [
    str(part["if"]) for job in FLOW["jobs"].values() for part in (job, *job["steps"]) if "if" in part
]


def _steps(job: str) -> list[dict[str, Any]]:
    return list(FLOW["jobs"][job]["steps"])


def test_it_starts_on_a_pull_request_or_when_dispatched_with_everything_that_is_compared() -> None:
    triggers = FLOW[True]  # YAML 1.1 reads `on` so
    assert set(triggers) == {"pull_request", "workflow_dispatch"}
    assert triggers["pull_request"] == {"branches": ["trunk"]}
    inputs = triggers["workflow_dispatch"]["inputs"]
    assert set(inputs) == {"change_id", "commit", "mode", "plan_run_id", "plan_sha256"}
    assert inputs["mode"]["options"] == ["plan", "apply"]


def test_its_runs_can_be_found_by_the_change() -> None:
    assert "inputs.change_id" in FLOW["run-name"]
    assert "inputs.mode" in FLOW["run-name"]


def test_it_may_only_read_and_each_job_adds_what_it_needs() -> None:
    assert FLOW["permissions"] == {"contents": "read"}
    assert FLOW["jobs"]["plan"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert FLOW["jobs"]["apply"]["permissions"] == {
        "contents": "read",
        "id-token": "write",
        "actions": "read",
    }
    assert FLOW["jobs"]["apply"]["environment"] == "production"
    assert FLOW["concurrency"] == {"group": "terraform-edge", "cancel-in-progress": False}


def test_every_action_is_pinned_by_its_full_commit() -> None:
    used = [step["uses"] for job in FLOW["jobs"] for step in _steps(job) if "uses" in step]
    assert len(used) == 8
    pinned = {f"{name}@{pin.sha}" for name, pin in CONTEXT.pins.actions.items()}
    assert set(used) <= pinned


def test_no_expression_reaches_a_shell() -> None:
    for job in FLOW["jobs"]:
        for step in _steps(job):
            assert "${{" not in step.get("run", "")


def test_apply_compares_the_commit_before_anything_else_and_the_plan_before_it_has_a_role() -> None:
    names = [step["name"] for step in _steps("apply")]
    assert names[0] == "The commit is the signed one"
    assert names.index("The plan is the judged one") < names.index("Take the role that may change")
    assert names[-1] == "Apply that very plan"
    assert "plan/tfplan" in _steps("apply")[-1]["run"]


def test_nothing_is_applied_that_was_not_fetched_and_compared() -> None:
    steps = {step["name"]: step for step in _steps("apply")}
    assert steps["Apply that very plan"]["if"] == "steps.judged.outcome == 'success'"
    assert steps["The plan is the judged one"]["id"] == "judged"
    assert steps["The plan is the judged one"]["if"] == "steps.fetched.outcome == 'success'"
    assert steps["Fetch the plan"]["id"] == "fetched"
    assert steps["Fetch the plan"]["if"] == "inputs.plan_sha256 != 'rehearsed'"


def test_only_plan_runs_for_a_pull_request() -> None:
    assert FLOW["jobs"]["plan"]["if"] == "github.event_name == 'pull_request' || inputs.mode == 'plan'"
    assert FLOW["jobs"]["apply"]["if"] == "github.event_name == 'workflow_dispatch' && inputs.mode == 'apply'"


@pytest.mark.parametrize(
    "expression", [*EXPRESSION.findall(TEXT), *(str(j["if"]) for j in FLOW["jobs"].values())]
)
def test_expressions_stay_within_what_the_rehearsal_knows(expression: str) -> None:
    assert KNOWN.sub("", expression) == ""


def test_the_plan_artifact_holds_plan_json_and_digest() -> None:
    upload = next(step for step in _steps("plan") if step["name"] == "Keep the plan")
    assert upload["with"]["name"] == "plan"
    written = next(step for step in _steps("plan") if step["name"] == "Write the plan down")["run"]
    assert all(name in written for name in ("plan/tfplan", "plan/plan.json", "plan/plan.sha256"))
