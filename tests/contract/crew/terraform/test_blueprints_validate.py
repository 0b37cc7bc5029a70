"""Every pair of parameter values passes the real `terraform fmt` and `validate`; the defaults also plan."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from knowledge.blueprint import complete, load_all
from knowledge.parameter import Value
from knowledge.pins import PINS
from knowledge.pins import load as load_pins
from knowledge.rendering import RenderContext, render
from tests.fakes.pairwise import cases
from tools import confine
from tools.terraform import Terraform, folders_of

BLUEPRINTS = load_all()
CONTEXT = RenderContext(
    change_id="cs-0123456789abcdef",
    clone_url="https://github.example/a/b.git",
    pins=load_pins(PINS),
    rehearsal=True,
)
BINARY = shutil.which("terraform")
MIRROR = next(
    (p for p in (Path("/opt/tf-plugins"), Path.home() / ".terraform.d/plugins") if p.is_dir()), None
)
pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="terraform is not installed"),
    pytest.mark.skipif(MIRROR is None, reason="there is no mirror of Terraform providers"),
    pytest.mark.skipif(confine.isolation() == "none", reason="this platform offers no confinement"),
]
NAMES = [name for name, blueprint in BLUEPRINTS.items() if any(blueprint.folder.rglob("*.tf.j2"))]


def _terraform() -> Terraform:
    return Terraform(Path(BINARY or ""), MIRROR)


def _folder(name: str, given: Mapping[str, Value]) -> Mapping[str, bytes]:
    blueprint = BLUEPRINTS[name]
    (files,) = folders_of(render(blueprint, blueprint.parameters(given), CONTEXT)).values()
    return files


def test_there_is_terraform_to_validate() -> None:
    assert NAMES == ["eks-cluster", "s3-bucket"]


@pytest.mark.parametrize("name", NAMES)
def test_every_pair_of_values_is_formatted_and_valid(name: str) -> None:
    with _terraform().workspace(_folder(name, {})) as workspace:
        started = workspace.init()
        assert started.state == "passed", started.output
        for case in cases(BLUEPRINTS[name], most=2):
            for old in workspace.folder.glob("*.tf"):
                old.unlink()
            for file, data in _folder(name, case).items():
                (workspace.folder / file).write_bytes(data)
            for step in (workspace.fmt(), workspace.validate()):
                assert step.state == "passed", (case, step.name, step.output)


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_plan_without_network_and_credentials_and_destroy_nothing(name: str) -> None:
    preview = _terraform().preview(f"infra/{name}", _folder(name, {}))
    assert preview.passed, [(s.name, s.output) for s in preview.steps if s.state != "passed"]
    assert {action for change in preview.changes for action in change.actions} == {"create"}


def test_both_in_one_root_are_valid() -> None:
    parameters = complete(BLUEPRINTS, {"eks-cluster": {}, "s3-bucket": {"purpose": "logs"}})
    merged = {
        p: d
        for name, chosen in parameters.items()
        for p, d in render(BLUEPRINTS[name], chosen, CONTEXT).items()
    }
    (files,) = folders_of(merged).values()
    assert _terraform().preview("infra/platform", files, plan=False).passed


def test_a_broken_file_fails_by_name() -> None:
    files = {
        **_folder("s3-bucket", {}),
        "broken.tf": b'resource "aws_s3_bucket" "x" {\n  colour = "red"\n}\n',
    }
    preview = _terraform().preview("infra/x", files, plan=False)
    assert preview.steps[-1].name == "validate"
    assert "colour" in preview.steps[-1].output
