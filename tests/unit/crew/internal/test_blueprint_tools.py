from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowledge.blueprint import load_all
from knowledge.pins import PINS
from knowledge.pins import load as load_pins
from policies import profile as profiles
from policies.change import Word
from policies.finding import Severity
from tools import catalog
from tools.internal import blueprints, judging
from tools.terraform import Terraform
from tools.tool import Effect, Nothing, Role, Tool, ToolRefusedError

PROFILE = profiles.load(Path(profiles.__file__).with_name("profiles") / "sandbox.toml")
PINNED = load_pins(PINS)
TOOLS = {
    tool.name: tool
    for tool in (
        *blueprints.tools(load_all(), PINNED),
        *judging.tools(Terraform(None, None), PROFILE, PINNED),
    )
}
WANTED: dict[str, Any] = {
    "blueprint": "web-app",
    "parameters": {"namespace": "web"},
    "change_id": "cs-0123456789abcdef",
    "clone_url": "https://github.example/acme/platform.git",
    "rehearsal": True,
}


def _call(name: str, **arguments: Any) -> Any:
    tool: Tool = TOOLS[name]
    answer = tool.call(tool.arguments.model_validate(arguments))
    assert isinstance(answer, tool.result)
    return answer


def test_each_tool_only_reads_and_is_in_somebodys_belt() -> None:
    mounted = catalog.mounted("internal", Role.DEVOPS, TOOLS.values())
    assert set(mounted) == set(TOOLS)
    assert all(tool.effect is Effect.READ for tool in TOOLS.values())


def test_descriptions_and_schemas_say_enough_for_a_model() -> None:
    for tool in TOOLS.values():
        assert len(tool.description) > 80
        assert tool.arguments is Nothing or tool.arguments.model_json_schema()["properties"]


def test_the_list_says_what_each_takes_and_what_would_be_refused() -> None:
    listed = {b.name: b for b in _call("list_blueprints").blueprints}
    assert listed["eks-cluster"].brings == ("terraform-workflow",)
    assert listed["argocd-application"].requires == ("web-app",)
    privileged = next(p for p in listed["web-app"].parameters if p.name == "privileged")
    assert (privileged.type, privileged.default) == ("boolean", False)
    assert privileged.unsafe[0].rules == ("pod-security/privileged",)
    replicas = next(p for p in listed["web-app"].parameters if p.name == "replicas")
    assert (replicas.minimum, replicas.maximum, replicas.default) == (1, 50, 3)


def test_rendering_gives_files_parameters_and_the_rules_that_the_wish_breaks() -> None:
    rendered = _call("render_blueprint", **{**WANTED, "parameters": {"namespace": "web", "privileged": True}})
    assert "manifests/nginx/deployment.yaml" in rendered.files
    assert {c.name: c.value for c in rendered.parameters}["replicas"] == 3
    assert rendered.asks_for == ("pod-security/privileged",)


def test_a_default_is_no_wish() -> None:
    rendered = _call("render_blueprint", **{**WANTED, "parameters": {"privileged": True}, "explicit": ()})
    assert rendered.asks_for == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"blueprint": "azure"}, "blueprint-unknown"),
        ({"parameters": {"replicas": 99}}, "parameters-refused"),
        ({"parameters": {"colour": "red"}}, "parameters-refused"),
        ({"blueprint": "argocd-application", "parameters": {}}, "parameters-refused"),
    ],
)
def test_what_cannot_be_rendered_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ToolRefusedError) as refused:
        _call("render_blueprint", **{**WANTED, **change})
    assert refused.value.name == named
    assert refused.value.advice


def test_policy_names_what_blocks_and_what_only_the_notary_checks() -> None:
    rendered = _call("render_blueprint", **WANTED)
    checked = _call("check_policy", files=rendered.files, rehearsal=True)
    assert {"kubernetes/image-runs-as-root", "pod-security/run-as-non-root"} <= set(checked.blocking)
    assert "checkov" in checked.left_to_the_notary
    assert not any(engine.startswith("checkov") for engine in checked.engines)


def test_policy_judges_only_what_changed_when_told() -> None:
    files = dict(_call("render_blueprint", **WANTED).files)
    checked = _call("check_policy", files=files, changed=["manifests/nginx/service.yaml"], rehearsal=True)
    assert checked.blocking == ()


def test_a_changed_file_that_was_not_given_is_refused() -> None:
    with pytest.raises(ToolRefusedError, match="files-missing"):
        _call("check_policy", files={}, changed=["manifests/a/b.yaml"])


def test_the_profile_decides_what_blocks() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {type: NodePort, ports: [{port: 80}]}\n"
    lenient = PROFILE.model_copy(update={"blocking": Severity.CRITICAL})
    tool = next(t for t in judging.tools(Terraform(None, None), lenient, PINNED) if t.name == "check_policy")
    strict = _call("check_policy", files={"manifests/a/s.yaml": text})
    loose: Any = tool.call(judging.CheckPolicy(files={"manifests/a/s.yaml": text}))
    assert "kubernetes/node-port" in strict.blocking
    assert loose.blocking == ()
    assert loose.findings == strict.findings


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("apiVersion: v1\nkind: Service\nkind: Service\nmetadata: {name: a}\n", "reading/duplicate-key"),
        ("a: &x 1\nb: *x\n", "reading/alias"),
        ("apiVersion: v1\nkind: Service\nmetadata: [\n", "reading/syntax"),
    ],
)
def test_a_manifest_that_two_readers_could_read_differently_is_named(text: str, rule: str) -> None:
    validated = _call("validate_manifests", files={"manifests/a/x.yaml": text})
    assert rule in {finding.rule for finding in validated.findings}


def test_objects_are_listed_and_the_engines_named() -> None:
    validated = _call("validate_manifests", files=_call("render_blueprint", **WANTED).files)
    assert "Deployment/nginx" in validated.objects
    assert validated.findings == ()
    assert validated.checked_by[0] == "strict reader"
    assert (len(validated.checked_by) == 2) != ("kubernetes-models" in validated.left_to_the_notary)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ToolRefusedError, match="files-refused"):
        judging._bytes({"a.yaml": "\ud800"})


def test_without_terraform_the_preview_says_so_for_each_folder() -> None:
    previews = _call(
        "preview_terraform", files={"infra/a/x.tf": "", "infra/b/y.tf": "", "manifests/a.yaml": ""}
    ).previews
    assert [p.folder for p in previews] == ["infra/a", "infra/b"]
    assert all(
        step.state == "static" and "terraform not found" in step.output for p in previews for step in p.steps
    )


def test_every_word_of_the_tools_is_closed() -> None:
    for tool in TOOLS.values():
        assert issubclass(tool.arguments, Word)
        assert tool.arguments.model_config["extra"] == "forbid"
