from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from knowledge.blueprint import Blueprint, complete, load_all
from knowledge.parameter import BlueprintFaultError, Value
from knowledge.pins import PINS
from knowledge.pins import load as load_pins
from knowledge.rendering import RenderContext, hcl_literal, image_of, render, replaced, yaml_literal
from policies import profile as profiles
from policies import remedy
from policies.change import CHANGE_ANNOTATION
from policies.finding import Finding, ParameterChange
from policies.images import UNPRIVILEGED_USER
from policies.pins import rehearsal_digest
from policies.scan import ScanContext, scan
from tests.fakes.pairwise import cases

BLUEPRINTS = load_all()
PINNED = load_pins(PINS)
PROFILE = profiles.load(Path(profiles.__file__).with_name("profiles") / "sandbox.toml")
CLONE = "https://github.example/acme/platform.git"
COMMIT = "ab" * 20
CASES = [(name, case) for name, blueprint in BLUEPRINTS.items() for case in cases(blueprint, most=3)]


def _context(**changes: Any) -> RenderContext:
    return RenderContext(
        change_id="cs-0123456789abcdef", clone_url=CLONE, commit=COMMIT, pins=PINNED, rehearsal=True
    ).model_copy(update=changes)


def _files(name: str, given: Mapping[str, Value], **changes: Any) -> Mapping[str, bytes]:
    blueprint = BLUEPRINTS[name]
    return render(blueprint, blueprint.parameters(given), _context(**changes))


def _findings(files: Mapping[str, bytes], *, rehearsal: bool = True) -> tuple[Finding, ...]:
    context = ScanContext(
        images=PINNED.image_table(),
        action_pins=PINNED.action_pins(),
        allowed_registries=frozenset(PROFILE.scope.registries),
        allowed_providers=frozenset(PROFILE.scope.providers),
        clone_url=CLONE,
        expected_commit=COMMIT,
        rehearsal=rehearsal,
        without=frozenset({"checkov", "rego", "kubernetes-models"}),
    )
    return scan(files, frozenset(files), context=context, scanner=None).findings


def _blocking(files: Mapping[str, bytes], *, rehearsal: bool = True) -> dict[str, Finding]:
    found = _findings(files, rehearsal=rehearsal)
    return {f.rule: f for f in found if f.severity.rank >= PROFILE.blocking.rank}


def _objects(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    objects = (yaml.safe_load(data) for path, data in files.items() if path.endswith(".yaml"))
    return {value["kind"]: value for value in objects}


def _repaired(name: str, given: Mapping[str, Value]) -> Mapping[str, bytes]:
    """What DevOps does: render again where a finding asks for another parameter, then apply the edits."""
    blueprint: Blueprint = BLUEPRINTS[name]
    parameters = blueprint.parameters(given)
    files = render(blueprint, parameters, _context())
    for _ in range(PROFILE.rounds):
        fixes = [fix for finding in _blocking(files).values() for fix in finding.remediations]
        changes = [fix for fix in fixes if isinstance(fix, ParameterChange)]
        for change in changes:
            parameters = replaced(
                parameters, change.parameter, change.value, blueprint, "Security asked for it"
            )
        if changes:
            files = render(blueprint, parameters, _context())
        files = remedy.apply((fix for fix in fixes if not isinstance(fix, ParameterChange)), files)
    return files


def test_the_blueprints_of_the_first_version_are_there() -> None:
    assert set(BLUEPRINTS) == {
        "argocd-application",
        "eks-cluster",
        "s3-bucket",
        "terraform-workflow",
        "web-app",
    }


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda v: v if isinstance(v, str) else None)
def test_every_pair_of_values_renders_files_that_the_profile_allows(
    name: str, case: Mapping[str, Value]
) -> None:
    files = _files(name, case)
    assert files == _files(name, case)
    patterns = [p.removesuffix("*") for p in PROFILE.scope.paths]
    assert all(any(path.startswith(pattern) for pattern in patterns) for path in files), list(files)
    for path, data in files.items():
        assert b"<<" not in data
        assert b"<%" not in data
        assert data.endswith(b"\n"), path


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda v: v if isinstance(v, str) else None)
def test_whatever_is_not_asked_for_is_clean_after_the_findings_own_repairs(
    name: str, case: Mapping[str, Value]
) -> None:
    blueprint = BLUEPRINTS[name]
    safe = blueprint.safe(blueprint.parameters(case))
    assert _blocking(_repaired(name, safe.values)) == {}


UNSAFE = [
    (name, parameter, unsafe)
    for name, blueprint in BLUEPRINTS.items()
    for parameter, spec in blueprint.accepts.items()
    for unsafe in spec.unsafe
    if unsafe.pattern is None
]


@pytest.mark.parametrize(
    ("name", "parameter", "unsafe"), UNSAFE, ids=lambda v: v if isinstance(v, str) else None
)
def test_an_unsafe_value_breaks_the_rules_that_it_names_and_the_safe_one_does_not(
    name: str, parameter: str, unsafe: Any
) -> None:
    broken = {finding.rule for finding in _findings(_files(name, {parameter: unsafe.value}))}
    kept = {finding.rule for finding in _findings(_files(name, {parameter: unsafe.safe}))}
    assert set(unsafe.rules) <= broken
    assert not set(unsafe.rules) & kept


def test_the_first_draft_runs_the_image_that_was_named_and_the_repair_its_unprivileged_sibling() -> None:
    drafted = _files("web-app", {"image": "nginx", "namespace": "web"})
    container = _objects(drafted)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"docker.io/library/nginx@{PINNED.images['docker.io/library/nginx'].digest}"
    assert container["ports"][0]["containerPort"] == 80
    assert "securityContext" not in container
    assert {"kubernetes/image-runs-as-root", "pod-security/run-as-non-root"} <= set(_blocking(drafted))

    objects = _objects(_repaired("web-app", {"image": "nginx", "namespace": "web"}))
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"].startswith("docker.io/nginxinc/nginx-unprivileged@sha256:")
    assert spec["containers"][0]["ports"][0]["containerPort"] == 8080
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert objects["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == 8080
    assert objects["Service"]["spec"]["ports"][0]["port"] == 80
    assert objects["Deployment"]["metadata"]["name"] == "nginx"


@pytest.mark.parametrize("image", ["httpd", "redis"])
def test_an_image_without_a_sibling_gets_a_user_and_somewhere_to_write(image: str) -> None:
    spec = _objects(_repaired("web-app", {"image": image}))["Deployment"]["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert container["securityContext"]["runAsUser"] == UNPRIVILEGED_USER
    assert [m["mountPath"] for m in container["volumeMounts"]] == list(
        PINNED.images[f"docker.io/library/{image}"].writable
    )
    assert all(set(volume) == {"name", "emptyDir"} for volume in spec["volumes"])
    low = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    assert spec["securityContext"].get("sysctls", []) == ([low] if image == "httpd" else [])


def test_three_stay_three() -> None:
    objects = _objects(_files("web-app", {"replicas": 3}))
    assert objects["Deployment"]["spec"]["replicas"] == 3
    assert objects["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 3
    assert objects["PodDisruptionBudget"]["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/name": "nginx"}},
    }


def test_every_object_carries_the_change() -> None:
    for name in ("web-app", "argocd-application"):
        for value in _objects(_files(name, {})).values():
            assert value["metadata"]["annotations"][CHANGE_ANNOTATION] == "cs-0123456789abcdef"


def test_one_object_per_file() -> None:
    for path, data in {**_files("web-app", {}), **_files("argocd-application", {})}.items():
        assert len([d for d in yaml.safe_load_all(data) if d]) == 1, path


def test_argo_cd_follows_the_signed_commit_and_nothing_else() -> None:
    given = {"web-app": {"name": "shop", "namespace": "web"}, "argocd-application": {}}
    parameters = complete(BLUEPRINTS, given)
    objects = _objects(render(BLUEPRINTS["argocd-application"], parameters["argocd-application"], _context()))
    application, project = objects["Application"]["spec"], objects["AppProject"]["spec"]
    assert application["source"] == {"repoURL": CLONE, "targetRevision": COMMIT, "path": "manifests/shop"}
    assert application["destination"] == project["destinations"][0]
    assert project["sourceRepos"] == [CLONE]
    assert "syncPolicy" not in application
    app_kinds = {
        (v["apiVersion"].rpartition("/")[0], v["kind"])
        for v in _objects(render(BLUEPRINTS["web-app"], parameters["web-app"], _context())).values()
    }
    listed = {
        (k["group"], k["kind"])
        for key in ("clusterResourceWhitelist", "namespaceResourceWhitelist")
        for k in project[key]
    }
    assert app_kinds == listed


def test_without_a_commit_there_is_no_application() -> None:
    with pytest.raises(BlueprintFaultError, match="cannot be rendered"):
        _files("argocd-application", {}, commit=None)


def test_both_terraform_blueprints_share_one_root_and_agree_on_its_shared_files() -> None:
    parameters = complete(
        BLUEPRINTS,
        {"s3-bucket": {}, "eks-cluster": {"name": "edge", "region": "eu-west-1"}, "terraform-workflow": {}},
    )
    eks, bucket, workflow = (
        render(BLUEPRINTS[name], parameters[name], _context())
        for name in ("eks-cluster", "s3-bucket", "terraform-workflow")
    )
    shared = set(eks) & set(bucket)
    assert shared == {"infra/edge/versions.tf", "infra/edge/.terraform.lock.hcl"}
    assert all(eks[path] == bucket[path] for path in shared)
    assert b'TF_ROOT: "infra/edge"' in workflow[".github/workflows/terraform.yml"]


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("web-app", {"replicas": 0}, "from 1 to 50"),
        ("web-app", {"replicas": 51}, "from 1 to 50"),
        ("web-app", {"replicas": True}, "whole number"),
        ("web-app", {"replicas": "3"}, "whole number"),
        ("web-app", {"privileged": "yes"}, "true or false"),
        ("web-app", {"namespace": "web\n  evil: true"}, "lower-case letters"),
        ("web-app", {"namespace": "Web"}, "lower-case letters"),
        ("web-app", {"name": "a" * 41}, "at most 40"),
        ("web-app", {"name": "../etc"}, "lower-case letters"),
        ("web-app", {"image": "nginx\nprivileged: true"}, "image reference"),
        ("web-app", {"image": "nginx; rm -rf /"}, "image reference"),
        ("web-app", {"image": "${{ secrets.X }}"}, "image reference"),
        ("web-app", {"expose": "everywhere"}, "one of cluster, load-balancer, node-port"),
        ("web-app", {"colour": "red"}, "no parameter colour"),
        ("s3-bucket", {"region": "mars-1"}, "is one of"),
        ("s3-bucket", {"root": "../../etc"}, "lower-case letters"),
        ("s3-bucket", {"root": "a//b"}, "lower-case letters"),
        ("s3-bucket", {"retention_days": -1}, "from 1 to 3650"),
        ("eks-cluster", {"name": 'x" }\nresource "null'}, "lower-case letters"),
        ("eks-cluster", {"name": "${file('/etc/passwd')}"}, "lower-case letters"),
        ("eks-cluster", {"nodes": 1}, "from 2 to 20"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    name: str, given: Mapping[str, object], says: str
) -> None:
    with pytest.raises(BlueprintFaultError, match=says):
        BLUEPRINTS[name].parameters(given)


HOSTILE = [
    '"',
    "\\",
    "\n- evil",
    "${jsondecode(1)}",
    "%{ if true }",
    "a: b",
    "{{ x }}",
    "#",
    "é한글",
    "\x00\x1f",
    "null",
    "0123",
    "'",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_literal_is_the_value_and_nothing_more(text: str) -> None:
    assert yaml.safe_load(f"key: {yaml_literal(text)}\n") == {"key": text}
    literal = hcl_literal(text)
    assert literal.count("${") == literal.count("$${")
    assert json.loads(literal.replace("$${", "${").replace("%%{", "%{")) == text
    assert "\n" not in literal


def test_a_template_may_print_only_plain_values() -> None:
    for value in (None, 1.5, {"a": 1}, object()):
        with pytest.raises(TypeError):
            yaml_literal(value)


class TestImages:
    def test_a_known_name_stands_for_its_pin(self) -> None:
        assert image_of("nginx", _context()).reference.endswith(
            PINNED.images["docker.io/library/nginx"].digest
        )

    def test_an_unknown_image_has_a_rehearsal_digest_in_the_sandbox_only(self) -> None:
        name = "ghcr.io/acme/shop:1.2"
        rehearsed = image_of(name, _context())
        assert rehearsed.reference == f"ghcr.io/acme/shop@{rehearsal_digest('ghcr.io/acme/shop', '1.2')}"
        assert image_of(name, _context(rehearsal=False)).reference == name

    def test_on_a_real_target_an_image_without_a_pin_is_objected_to(self) -> None:
        files = _files("web-app", {"image": "ghcr.io/acme/shop:1.2"}, rehearsal=False)
        finding = _blocking(files, rehearsal=False)["kubernetes/image-digest"]
        assert finding.remediations == ()

    def test_another_tag_of_a_pinned_image_is_left_for_security_to_pin(self) -> None:
        files = _files("web-app", {"image": "nginx:1.25"})
        assert _blocking(files)["kubernetes/image-digest"].remediations

    def test_a_digest_that_was_given_is_kept(self) -> None:
        name = "ghcr.io/acme/shop@sha256:" + "a" * 64
        assert image_of(name, _context()).reference == name

    def test_an_unpinned_image_listens_where_the_person_says(self) -> None:
        objects = _objects(_files("web-app", {"image": "ghcr.io/acme/shop:1.2", "port": 9000}))
        assert (
            objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
            == 9000
        )
        assert objects["Service"]["spec"]["ports"][0]["port"] == 9000


def test_goals_phrases_and_descriptions_are_there_in_both_languages() -> None:
    for blueprint in BLUEPRINTS.values():
        hangul = [blueprint.description.ko, blueprint.risk.ko, blueprint.goal.ko]
        assert all(any("가" <= c <= "힣" for c in text) for text in hangul)
        assert not any(
            "가" <= c <= "힣" for text in (blueprint.description.en, blueprint.risk.en) for c in text
        )


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ('name = "web-app"', None),
        ('name = "other"', "calls itself other"),
        ('name = "web-app"\ncolour = 1', "cannot be used"),
        ('name = "web-app"\nrequires = ["nothing"]', "not there: nothing"),
        ('name = "web-app', "cannot be used"),
    ],
)
def test_a_wrong_blueprint_file_is_refused_by_name(tmp_path: Path, edit: str, says: str | None) -> None:
    source = (BLUEPRINTS["web-app"].folder / "blueprint.toml").read_text(encoding="utf-8")
    (tmp_path / "web-app").mkdir()
    (tmp_path / "web-app" / "blueprint.toml").write_text(
        source.replace('name = "web-app"', edit, 1), encoding="utf-8"
    )
    if says is None:
        assert list(load_all(tmp_path)) == ["web-app"]
        return
    with pytest.raises(BlueprintFaultError, match=says):
        load_all(tmp_path)


def test_every_template_uses_every_parameter_or_says_it_is_a_count() -> None:
    for blueprint in BLUEPRINTS.values():
        text = "".join(
            p.read_text()
            for p in [*blueprint.folder.rglob("*.j2"), *(blueprint.folder.parent / "shared").glob("*.j2")]
        )
        paths = "".join(str(p) for p in blueprint.folder.rglob("*.j2"))
        unused = {n for n in blueprint.accepts if n not in text and f"[{n}]" not in paths}
        assert unused <= ({blueprint.counted_by} if blueprint.counted_by else set())


def test_the_blueprint_file_is_plain_toml_that_anybody_may_read() -> None:
    for blueprint in BLUEPRINTS.values():
        document = tomllib.loads((blueprint.folder / "blueprint.toml").read_text(encoding="utf-8"))
        assert document["name"] == blueprint.name
        assert set(document.get("parameters", {})) == set(blueprint.accepts)
