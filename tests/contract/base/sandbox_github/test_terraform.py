"""Without Terraform the whole road is walked and every step that did not happen says so."""

from typing import Any

import pytest

from tests.fakes.rehearsal_github import Served
from tests.fakes.rehearsal_workflow import PLAIN, WORKFLOW
from tools.confine import isolation


def dispatched(hub: Served, **inputs: str) -> Any:
    asked = {
        "ref": "main",
        "inputs": {"change_id": "cs-1", "commit": hub.tip(), **inputs},
        "return_run_details": True,
    }
    status, body = hub.ask("POST", "/actions/workflows/terraform.yml/dispatches", asked)
    assert status == 200, body
    return hub.settled(body["workflow_run_id"], 120)


@pytest.mark.skipif(isolation() == "none", reason="this platform offers no confinement")
def test_without_terraform_both_modes_go_through_and_say_that_nothing_was_done(hub: Served) -> None:
    hub.commit({".github/workflows/terraform.yml": WORKFLOW, "infra/main.tf": PLAIN})
    run = dispatched(hub, mode="plan")
    assert run["conclusion"] == "success"
    steps = hub.steps(run["id"])
    assert {name for name, conclusion in steps.items() if conclusion == "success"} == {"Signed", "Check out"}
    assert hub.ask("GET", f"/actions/runs/{run['id']}/artifacts")[1]["artifacts"] == []
    applied = dispatched(hub, mode="apply", plan_run_id=str(run["id"]), plan_sha256="rehearsed")
    assert applied["conclusion"] == "success"
    assert {name for name, conclusion in hub.steps(applied["id"]).items() if conclusion == "success"} == {
        "Check out"
    }


@pytest.mark.skipif(isolation() == "none", reason="this platform offers no confinement")
def test_another_commit_than_the_signed_one_stops_the_run_at_its_first_step(hub: Served) -> None:
    hub.commit({".github/workflows/terraform.yml": WORKFLOW})
    run = dispatched(hub, mode="plan", commit="1" * 40)
    assert run["conclusion"] == "failure"
    assert list(hub.steps(run["id"]).values())[:2] == ["failure", "skipped"]
