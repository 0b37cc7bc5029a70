"""Terraform's door with a stand-in binary: what reaches it, what it can reach, and what is said when it fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import confine
from tools.terraform import Terraform, folders_of

CONFINED = confine.isolation() != "none"
needs_confinement = pytest.mark.skipif(not CONFINED, reason="this platform offers no confinement")
FILES = {"main.tf": b"# nothing\n", ".terraform.lock.hcl": b"# lock\n"}


def _terraform(tmp_path: Path, script: str, deadline: float = 20.0) -> Terraform:
    """A stand-in `terraform`: a shell script, with `$1` the command."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    binary = folder / "terraform"
    binary.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    binary.chmod(0o755)
    mirror = tmp_path / "mirror"
    mirror.mkdir(exist_ok=True)
    return Terraform(binary, mirror, deadline)


@pytest.mark.parametrize(
    ("terraform", "said"),
    [
        (Terraform(None, None), "terraform not found"),
        (Terraform(Path("/nowhere/terraform"), None), "terraform not found"),
        (Terraform(Path(sys.executable), None), "no provider mirror"),
    ],
)
def test_what_is_missing_is_said_and_nothing_runs(terraform: Terraform, said: str) -> None:
    with terraform.workspace(FILES) as workspace:
        for step in (workspace.init(), workspace.validate(), workspace.plan()[0]):
            assert step.state == "static"
            assert said in step.output
            assert "previewed statically" in step.output
    assert not terraform.preview("infra/a", FILES).passed


def test_every_method_says_what_a_missing_binary_means_for_fmt_too() -> None:
    with Terraform(None, None).workspace(FILES) as workspace:
        assert workspace.fmt().state == "static"


@needs_confinement
def test_each_step_passes_and_the_plan_lists_what_would_be_made(tmp_path: Path) -> None:
    shown = '{"resource_changes": [{"address": "aws_s3_bucket.b", "change": {"actions": ["create"]}}]}'
    preview = _terraform(tmp_path, f"[ $1 = show ] && echo '{shown}'; exit 0").preview("infra/a", FILES)
    assert preview.passed
    assert [step.name for step in preview.steps] == ["fmt", "init", "validate", "plan"]
    assert [(c.address, c.actions) for c in preview.changes] == [("aws_s3_bucket.b", ("create",))]


@needs_confinement
def test_the_first_failure_ends_it_but_formatting_does_not(tmp_path: Path) -> None:
    preview = _terraform(
        tmp_path, "[ $1 = fmt ] && exit 3; [ $1 = validate ] && { echo wrong; exit 1; }; exit 0"
    ).preview("a", FILES)
    assert [(s.name, s.state) for s in preview.steps] == [
        ("fmt", "failed"),
        ("init", "passed"),
        ("validate", "failed"),
    ]
    assert preview.steps[-1].output == "wrong"


@needs_confinement
def test_a_plan_that_cannot_be_read_is_no_plan(tmp_path: Path) -> None:
    preview = _terraform(tmp_path, "[ $1 = show ] && echo 'not json'; exit 0").preview("a", FILES)
    assert preview.steps[-1].state == "failed"
    assert preview.changes == ()


@needs_confinement
def test_it_has_no_credentials_no_network_and_no_view_of_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key", encoding="utf-8")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-only")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/nowhere")
    python = "/usr/bin/env python3 -c 'import socket; socket.socket()' 2>/dev/null && echo NETWORK"
    script = f"env; cat {secret} 2>/dev/null && echo SECRET; {python}; cat $TF_CLI_CONFIG_FILE; exit 1"
    with _terraform(tmp_path, script).workspace(FILES) as workspace:
        said = workspace.validate().output
    assert "test-only" not in said
    assert "SECRET" not in said
    assert "NETWORK" not in said
    assert "filesystem_mirror" in said
    assert str(tmp_path / "mirror") in said
    assert "AWS_EC2_METADATA_DISABLED=true" in said


@needs_confinement
def test_a_late_step_is_killed_and_failed(tmp_path: Path) -> None:
    with _terraform(tmp_path, "while :; do :; done", deadline=0.5).workspace(FILES) as workspace:
        step = workspace.validate()
    assert step.state == "failed"
    assert "no answer within" in step.output


def test_a_name_with_a_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="plain name"), Terraform(None, None).workspace({"../x.tf": b""}):
        pass


def test_the_scratch_folder_is_gone_afterwards() -> None:
    with Terraform(None, None).workspace(FILES) as workspace:
        home = workspace.home
        assert (workspace.folder / "main.tf").read_bytes() == FILES["main.tf"]
    assert not home.exists()


def test_files_are_sorted_into_terraform_folders() -> None:
    found = folders_of(
        {
            "infra/a/x.tf": b"1",
            "infra/a/.terraform.lock.hcl": b"2",
            "infra/b/only.tfvars": b"3",
            "m/x.yaml": b"4",
        }
    )
    assert found == {"infra/a": {"x.tf": b"1", ".terraform.lock.hcl": b"2"}}


LACKING = """Error: Failed to query available provider packages

Could not retrieve the list of available versions for provider hashicorp/aws:
provider registry.terraform.io/hashicorp/aws was not found in any of the
search locations"""
REST = ", init passed, validate passed, plan passed"
UNFIT = """│ Error: Failed to query available provider packages
│
│ Could not retrieve the list of available versions for provider hashicorp/aws:
│ no available releases match the given constraints >= 9.0.0"""


@needs_confinement
@pytest.mark.parametrize(
    ("fails_at", "says", "line"),
    [
        (
            "init",
            LACKING,
            "a: fmt passed, the provider mirror lacks hashicorp/aws: types and plan not previewed",
        ),
        (
            "init",
            UNFIT,
            "a: fmt passed, the provider mirror lacks a fitting version of a provider: types and plan not previewed",
        ),
        (
            "fmt",
            "--- old/main.tf\n+++ new/main.tf",
            f"a: fmt failed (not formatted as terraform fmt would){REST}",
        ),
        ("fmt", "Error: Invalid block definition", f"a: fmt failed (Invalid block definition){REST}"),
        ("init", "Error: Unsupported block type", "a: fmt passed, init failed (Unsupported block type)"),
        (
            "validate",
            "\n│ Error: Missing required argument\n│ on main.tf",
            "a: fmt passed, init passed, validate failed (Missing required argument)",
        ),
    ],
)
def test_a_provider_that_is_not_there_is_told_from_a_fault_of_the_configuration(
    tmp_path: Path, fails_at: str, says: str, line: str
) -> None:
    script = f"[ $1 = show ] && echo '{{}}'; [ $1 = {fails_at} ] && {{ cat <<'END' >&2\n{says}\nEND\nexit 1; }}; exit 0"
    assert _terraform(tmp_path, script).preview("a", FILES).line() == line


def test_what_cannot_run_is_said_once_in_the_line() -> None:
    assert Terraform(None, None).preview("a", FILES).line() == "a: terraform not found: previewed statically"
