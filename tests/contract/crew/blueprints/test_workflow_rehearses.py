"""The rendered workflow, dispatched on the rehearsal GitHub: with the machine's Terraform, and without any."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from knowledge.blueprint import complete, load_all
from knowledge.pins import PINS
from knowledge.pins import load as load_pins
from knowledge.rendering import RenderContext, render
from tools import confine

ROOT = Path(__file__).resolve().parents[4]
PYTHON = ROOT / ".venv/bin/python"
TERRAFORM = shutil.which("terraform")
MIRROR = Path("/opt/tf-plugins")
CONTEXT = RenderContext(
    change_id="cs-0123456789abcdef", clone_url="https://github.example/a/b.git", pins=load_pins(PINS)
)
pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="the trusted environment is not set up"),
    pytest.mark.skipif(confine.isolation() == "none", reason="this platform offers no confinement"),
]
needs_terraform = pytest.mark.skipif(
    TERRAFORM is None or not MIRROR.is_dir(), reason="no terraform with a provider mirror"
)


@cache
def _rehearsed(*, real: bool) -> dict[str, Any]:
    blueprints = load_all()
    parameters = complete(blueprints, {"s3-bucket": {"purpose": "logs"}, "terraform-workflow": {}})
    files = {
        p: d.decode()
        for name, chosen in parameters.items()
        for p, d in render(blueprints[name], chosen, CONTEXT).items()
    }
    asked = {
        "files": files,
        "terraform": TERRAFORM if real else None,
        "mirror": str(MIRROR) if real else None,
    }
    script = Path(__file__).with_name("rehearse_workflow.py")
    ran = subprocess.run(
        [PYTHON, script], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=600
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return dict(json.loads(ran.stdout))


@needs_terraform
def test_with_terraform_it_plans_for_real_and_keeps_exactly_three_files() -> None:
    plan = _rehearsed(real=True)["plan"]
    assert plan["conclusion"] == "success", plan["log"]
    assert plan["artifact"] == ["plan.json", "plan.sha256", "tfplan"]
    assert len(plan["sha256"]) == 64
    assert plan["steps"]["Plan"] == "success"
    assert plan["title"] == "terraform plan cs-0123456789abcdef"


@needs_terraform
def test_with_terraform_the_judged_plan_reaches_apply_which_only_a_cloud_could_do() -> None:
    apply = _rehearsed(real=True)["apply"]
    assert apply["conclusion"] == "success", apply["log"]
    assert apply["steps"]["The plan is the judged one"] == "success"
    assert apply["steps"]["Apply that very plan"] == "skipped"
    assert "rehearsed" in apply["log"]


@needs_terraform
def test_another_digest_stops_before_there_is_a_role() -> None:
    stopped = _rehearsed(real=True)["another_plan"]
    assert stopped["conclusion"] == "failure"
    assert stopped["steps"]["The plan is the judged one"] == "failure"
    assert stopped["steps"]["Apply that very plan"] == "skipped"


@pytest.mark.parametrize("real", [pytest.param(True, marks=needs_terraform), False])
def test_another_commit_stops_at_once(real: bool) -> None:
    stopped = _rehearsed(real=real)["another_commit"]
    assert stopped["conclusion"] == "failure"
    assert stopped["steps"]["The commit is the signed one"] == "failure"


def test_without_terraform_nothing_is_kept_and_nothing_is_applied() -> None:
    answers = _rehearsed(real=False)
    assert answers["plan"]["conclusion"] == "success", answers["plan"]["log"]
    assert answers["plan"]["artifact"] == []
    assert answers["apply"]["conclusion"] == "success", answers["apply"]["log"]
    assert answers["apply"]["steps"]["Fetch the plan"] == "skipped"
    assert answers["apply"]["steps"]["Apply that very plan"] == "skipped"
