"""Terraform in the sandbox: the machine's own, confined, without a cloud; `apply` is always rehearsed."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.rehearsal_github import Served, served
from tools.confine import isolation
from tools.launch.config import provider_mirror

TERRAFORM = shutil.which("terraform")
MIRROR = provider_mirror(os.environ)
needs_terraform = pytest.mark.skipif(
    TERRAFORM is None or isolation() == "none", reason="terraform, or confinement, is not on this machine"
)
WORKFLOW = """
name: terraform
run-name: terraform ${{ inputs.mode || 'plan' }} ${{ inputs.change_id || github.sha }}
on:
  workflow_dispatch:
    inputs:
      change_id: {type: string, required: true}
      commit: {type: string, required: true}
      mode: {type: choice, required: true, options: [plan, apply]}
      plan_run_id: {type: string, default: ""}
      plan_sha256: {type: string, default: ""}
env: {TF_ROOT: infra, TF_INPUT: "false"}
jobs:
  plan:
    if: inputs.mode == 'plan'
    runs-on: ubuntu-24.04
    steps:
      - {name: Signed, env: {SIGNED: "${{ inputs.commit }}", HERE: "${{ github.sha }}"}, run: test "$SIGNED" = "$HERE"}
      - {name: Check out, uses: actions/checkout@v4}
      - {name: Format, run: terraform -chdir="$TF_ROOT" fmt -check -diff}
      - {name: Initialise, run: terraform -chdir="$TF_ROOT" init -backend-config="bucket=it's mine" -backend-config="key=k"}
      - {name: Validate, run: terraform -chdir="$TF_ROOT" validate}
      - {name: Plan, run: terraform -chdir="$TF_ROOT" plan -out=tfplan}
      - name: Write
        run: |
          mkdir plan
          mv "$TF_ROOT/tfplan" plan/tfplan
          terraform -chdir="$TF_ROOT" show -json "$PWD/plan/tfplan" > plan/plan.json
          sha256sum plan/tfplan | cut -d ' ' -f 1 > plan/plan.sha256
      - {name: Keep, uses: actions/upload-artifact@v4, with: {name: plan, path: plan, if-no-files-found: error}}
  apply:
    if: inputs.mode == 'apply'
    runs-on: ubuntu-24.04
    environment: production
    steps:
      - {name: Check out, uses: actions/checkout@v4}
      - {name: Fetch, uses: actions/download-artifact@v4, with: {name: plan, path: plan, run-id: "${{ inputs.plan_run_id }}"}}
      - name: Judged
        env: {JUDGED: "${{ inputs.plan_sha256 }}"}
        run: |
          test -n "$JUDGED"
          test "${JUDGED#sha256:}" = "$(sha256sum plan/tfplan | cut -d ' ' -f 1)"
      - {name: Initialise, run: terraform -chdir="$TF_ROOT" init}
      - {name: Apply, run: terraform -chdir="$TF_ROOT" apply "$PWD/plan/tfplan"}
"""
PLAIN = """terraform {
  backend "s3" {}
}

resource "terraform_data" "x" {
  input = "one"
}
"""
BUCKET = """terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
  backend "s3" {}
}

provider "aws" {
  region = "ap-northeast-2"
}

resource "aws_s3_bucket" "x" {
  bucket_prefix = "logs-"
}
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("real")
    mirror = MIRROR or folder / "mirror"
    mirror.mkdir(exist_ok=True)
    with served(folder, terraform=Path(str(TERRAFORM)), mirror=mirror) as hub:
        yield hub


def dispatched(hub: Served, **inputs: str) -> Any:
    asked = {
        "ref": "main",
        "inputs": {"change_id": "cs-1", "commit": hub.tip(), **inputs},
        "return_run_details": True,
    }
    status, body = hub.ask("POST", "/actions/workflows/terraform.yml/dispatches", asked)
    assert status == 200, body
    return hub.settled(body["workflow_run_id"], 120)


def artifact(hub: Served, run: int) -> dict[str, bytes]:
    found = hub.ask("GET", f"/actions/runs/{run}/artifacts?name=plan")[1]["artifacts"]
    data = hub.ask("GET", f"/actions/artifacts/{found[0]['id']}/zip")[1]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PLANS = [pytest.param(PLAIN, "terraform_data.x", id="no provider")]
PLANS += [
    pytest.param(
        BUCKET,
        "aws_s3_bucket.x",
        id="aws",
        marks=pytest.mark.skipif(MIRROR is None, reason="no provider mirror"),
    )
]


@needs_terraform
@pytest.mark.parametrize(("code", "address"), PLANS)
def test_a_plan_is_real_and_its_apply_is_rehearsed_after_every_real_guard(
    real: Served, code: str, address: str
) -> None:
    real.commit({".github/workflows/terraform.yml": WORKFLOW, "infra/main.tf": code})
    run = dispatched(real, mode="plan")
    assert set(real.steps(run["id"]).values()) == {"success"}, real.log(run["id"])
    files = artifact(real, run["id"])
    assert [c["address"] for c in json.loads(files["plan.json"])["resource_changes"]] == [address]
    sha256 = files["plan.sha256"].decode().strip()
    wrong = dispatched(real, mode="apply", plan_run_id=str(run["id"]), plan_sha256="0" * 64)
    assert real.steps(wrong["id"]) | {} == {
        "Check out": "success",
        "Fetch": "success",
        "Judged": "failure",
        "Initialise": "skipped",
        "Apply": "skipped",
    }
    assert wrong["conclusion"] == "failure"
    applied = dispatched(real, mode="apply", plan_run_id=str(run["id"]), plan_sha256=f"sha256:{sha256}")
    assert applied["conclusion"] == "success", real.log(applied["id"])
    assert real.steps(applied["id"])["Judged"] == "success"
    assert real.steps(applied["id"])["Apply"] == "skipped"
    assert "no cloud in the sandbox: terraform apply was not run" in real.log(applied["id"])


@needs_terraform
def test_a_plan_that_terraform_refuses_is_a_failure_not_a_rehearsal(real: Served) -> None:
    real.commit(
        {".github/workflows/terraform.yml": WORKFLOW, "infra/main.tf": PLAIN.replace("input =", "inputt =")}
    )
    run = dispatched(real, mode="plan")
    steps = real.steps(run["id"])
    assert (run["conclusion"], steps["Validate"], steps["Plan"]) == ("failure", "failure", "skipped")
    assert "Unsupported argument" in real.log(run["id"])


@needs_terraform
def test_a_provider_that_the_mirror_lacks_is_rehearsed_with_that_reason(real: Served) -> None:
    code = 'terraform {\n  required_providers {\n    x = {\n      source = "nobody/none"\n    }\n  }\n}\n'
    real.commit({".github/workflows/terraform.yml": WORKFLOW, "infra/main.tf": code})
    run = dispatched(real, mode="plan")
    steps = real.steps(run["id"])
    assert (steps["Format"], steps["Initialise"], steps["Plan"], steps["Write"], steps["Keep"]) == (
        "success",
        "skipped",
        "skipped",
        "skipped",
        "skipped",
    )
    assert "rehearsed: a provider is not in the mirror" in real.log(run["id"])


@needs_terraform
def test_code_that_reads_a_cloud_is_rehearsed_because_there_is_none(real: Served) -> None:
    if MIRROR is None:
        pytest.skip("no provider mirror")
    real.commit(
        {
            ".github/workflows/terraform.yml": WORKFLOW,
            "infra/main.tf": BUCKET + '\ndata "aws_caller_identity" "me" {}\n',
        }
    )
    run = dispatched(real, mode="plan")
    assert real.steps(run["id"])["Plan"] == "skipped", real.log(run["id"])


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
