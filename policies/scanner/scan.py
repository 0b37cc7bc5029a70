"""checkov on a tree of files, by its runners' API. Runs in the scanner environment alone.

The command line would obey a `.checkov.yaml` of the scanned folder; the API does not. Inline skips are not
collected, and a check that an annotation skipped comes back as a failed one marked `skipped`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkov.github_actions.runner import Runner as WorkflowRunner
from checkov.kubernetes.runner import Runner as KubernetesRunner
from checkov.runner_filter import RunnerFilter
from checkov.terraform.runner import Runner as TerraformRunner

CHECKS = Path(__file__).resolve().parent.parent / "checks"
_MANIFESTS = (".yaml", ".yml", ".json")
# Many shapes of HCL: the parser compiles its lexer's states when it first meets them.
_WARM_UP_HCL = """
terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.0" }
  }
}
variable "size" {
  type    = number
  default = 2
}
locals {
  names = ["a", "b"]
}
data "aws_iam_policy_document" "warm" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.warm[0].arn}/*"]
  }
}
resource "aws_s3_bucket" "warm" {
  count  = var.size > 1 ? 1 : 0
  bucket = "up-${var.size}"
  tags   = merge({ a = 1 }, { for n in local.names : n => upper(n) })
}
resource "aws_s3_bucket_versioning" "warm" {
  for_each = toset(local.names)
  bucket   = aws_s3_bucket.warm[0].id
  versioning_configuration {
    status = !false && true ? "Enabled" : null
  }
}
resource "aws_iam_role" "warm" {
  assume_role_policy = jsonencode({
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}
resource "aws_eks_cluster" "warm" {
  vpc_config {
    subnet_ids = aws_subnet.warm[*].id
  }
  dynamic "encryption_config" {
    for_each = [1]
    content {
      resources = ["secrets"]
    }
  }
}
resource "aws_iam_policy" "warm" {
  policy = <<-EOT
    {"Statement": []}
  EOT
}
output "warm" {
  value = aws_s3_bucket.warm[0].arn
}
"""
WARM_UP = {
    "main.tf": _WARM_UP_HCL.encode(),
    "pod.yaml": b"apiVersion: v1\nkind: Pod\nmetadata: {name: warm}\nspec: {containers: [{name: up, image: up}]}\n",
    ".github/workflows/warm.yml": b"name: w\non: [push]\njobs:\n  up:\n    runs-on: u\n    steps:\n      - run: 'true'\n",
}


def scanner_name() -> str:
    """checkov@VERSION."""
    return f"checkov@{importlib.metadata.version('checkov')}"


def warm_up() -> None:
    """Load every check, ours too, and scan once: the first scan costs ten times a later one."""
    TerraformRunner().load_external_checks([str(CHECKS / "terraform")])
    scan_tree(WARM_UP)


def scan_tree(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Every failed check on the files, and which of them no runner read."""
    with tempfile.TemporaryDirectory(prefix="scan-") as folder:
        root = Path(folder).resolve()
        for path, data in files.items():
            _write(root, path, data)
        records: list[dict[str, Any]] = []
        read: set[str] = set()
        broken: set[str] = set()
        for runner, framework in _runners(files):
            report = runner.run(
                root_folder=str(root),
                runner_filter=RunnerFilter(framework=[framework], show_progress_bar=False),
                collect_skip_comments=False,
            )
            records += [_record(r, skipped=False) for r in report.failed_checks]
            records += [_record(r, skipped=True) for r in report.skipped_checks]
            broken |= {_relative(root, path) for path in report.parsing_errors}
            read |= {_relative(root, getattr(key, "file_path", key)) for key in runner.definitions or ()}
    return {
        "scanner": scanner_name(),
        "files": {path: "sha256:" + hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
        "unread": sorted(set(files) - read - broken),
        "records": sorted(records, key=lambda r: (r["path"], r["line"], r["check"], r["resource"])),
        "parsing_errors": sorted(broken),
    }


def _runners(files: Mapping[str, bytes]) -> list[tuple[Any, str]]:
    """Only the runners that have a file to read: an idle one still costs 10 to 20 ms."""
    workflows = [path for path in files if path.startswith(".github/")]
    chosen: list[tuple[Any, str]] = []
    if any(path.endswith(".tf") for path in files):
        chosen.append((TerraformRunner(), "terraform"))
    if any(path.endswith(_MANIFESTS) and path not in workflows for path in files):
        chosen.append((KubernetesRunner(), "kubernetes"))
    if workflows:
        chosen.append((WorkflowRunner(), "github_actions"))
    return chosen


def _write(root: Path, path: str, data: bytes) -> None:
    target = (root / path).resolve()
    if not target.is_relative_to(root):
        msg = f"{path!r} lies outside the tree"
        raise ValueError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _relative(root: Path, path: str) -> str:
    full = Path(path)
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else path.lstrip("/")


def _record(record: Any, *, skipped: bool) -> dict[str, Any]:  # noqa: ANN401 - checkov's Record
    return {
        "check": record.check_id,
        "name": record.check_name,
        "path": record.file_path.lstrip("/"),
        "resource": record.resource,
        "line": max(1, int((record.file_line_range or [1])[0] or 1)),
        "skipped": skipped,
    }
