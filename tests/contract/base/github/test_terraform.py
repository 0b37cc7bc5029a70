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
from tests.fakes.rehearsal_workflow import PLAIN, WORKFLOW
from tools.confine import isolation
from tools.launch.config import provider_mirror

TERRAFORM = shutil.which("terraform")
MIRROR = provider_mirror(os.environ)
needs_terraform = pytest.mark.skipif(
    TERRAFORM is None or isolation() == "none", reason="terraform, or confinement, is not on this machine"
)
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
