"""What only a user has: a GitHub token, a cluster, a model key. Skipped by name, with the reason, never silently."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def wanted(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.skip(
            f"{name} is not set: this test needs a {name.removeprefix('COUNTERSIGN_LIVE_').lower()} of yours"
        )
    return value


def countersign(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)


def test_init_sees_your_repository_and_your_cluster(tmp_path: Path) -> None:
    repository, kubeconfig = wanted("COUNTERSIGN_LIVE_REPOSITORY"), wanted("COUNTERSIGN_LIVE_KUBECONFIG")
    done = countersign("init", "--repository", repository, "--kubeconfig", kubeconfig, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert repository in (tmp_path / "countersign.toml").read_text()


def test_a_dry_run_on_your_targets_signs_and_changes_nothing(tmp_path: Path) -> None:
    repository, kubeconfig = wanted("COUNTERSIGN_LIVE_REPOSITORY"), wanted("COUNTERSIGN_LIVE_KUBECONFIG")
    assert (
        countersign("init", "--repository", repository, "--kubeconfig", kubeconfig, cwd=tmp_path).returncode
        == 0
    )
    done = countersign(
        "run", "Create an encrypted private S3 bucket for logs, keep 90 days.", "--dry-run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_your_model_plans_the_first_goal(tmp_path: Path) -> None:
    model = wanted("COUNTERSIGN_LIVE_MODEL")
    done = countersign(
        "run",
        "Deploy nginx with 3 replicas to namespace web on Kubernetes",
        "--model",
        model,
        "--dry-run",
        cwd=tmp_path,
    )
    assert done.returncode in {0, 3}, done.stderr
