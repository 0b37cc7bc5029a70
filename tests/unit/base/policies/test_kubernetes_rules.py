from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from policies import documents
from policies.finding import ParameterChange
from policies.kubernetes_rules import selects
from policies.remedy import apply
from tests.fakes.scanning import BUSYBOX, CONTEXT, DIGEST, NGINX, SIBLING, SIBLING_DIGEST, judge, rules

SOUND: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "web",
                        "image": f"{SIBLING}@{SIBLING_DIGEST}",
                        "ports": [{"containerPort": 8080}],
                        "resources": {
                            "requests": {"cpu": "50m", "memory": "64Mi"},
                            "limits": {"memory": "64Mi"},
                        },
                        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
                        "livenessProbe": {"tcpSocket": {"port": 8080}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
    },
}
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "web", "namespace": "web"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}],
    },
}


def text(*objects: Any) -> str:
    return "\n---\n".join(json.dumps(value) for value in objects)


def workload(edit: Callable[[Any, Any, Any], Any]) -> str:
    """The sound deployment after one edit of (object, pod spec, container)."""
    value = copy.deepcopy(SOUND)
    pod = value["spec"]["template"]["spec"]
    edit(value, pod, pod["containers"][0])
    return text(value, POLICY)


def other(kind: str, api: str = "v1", name: str = "x", **fields: Any) -> str:
    return text({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "web"}, **fields})


def role(**granted: Any) -> str:
    return other(
        "Role",
        "rbac.authorization.k8s.io/v1",
        rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **granted}],
    )


def binding(name: str, subject: str = "me", kind: str = "ClusterRoleBinding") -> str:
    return other(
        kind,
        "rbac.authorization.k8s.io/v1",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        subjects=[{"kind": "User", "name": subject}],
    )


def service(**spec: Any) -> dict[str, Any]:
    return {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}}


def hook(policy: str) -> str:
    return other(
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1",
        webhooks=[
            {
                "name": "a.b.c",
                "failurePolicy": policy,
                "clientConfig": {},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    )


def env(name: str, value: str) -> str:
    return workload(lambda o, p, c: c.update(env=[{"name": name, "value": value}]))


def image(name: str) -> str:
    return workload(lambda o, p, c: c.update(image=name))


def policy(**spec: Any) -> str:
    return other("NetworkPolicy", "networking.k8s.io/v1", spec={"podSelector": {}, **spec})


SECRET_REF = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
# rule -> (texts that break it, texts that do not)
TABLE: dict[str, tuple[list[str], list[str]]] = {
    "kubernetes/image-digest": (
        [image("nginx"), image("nginx:1.27"), image("docker.io/library/nginx@sha256:abc")], [image(f"{SIBLING}@{SIBLING_DIGEST}"), image(f"{SIBLING}:1.27@{SIBLING_DIGEST}")]),
    "kubernetes/image-registry": ([image(f"evil.example/x@{DIGEST}"), image(f"docker.io.evil.example/x@{DIGEST}"), image(f"localhost/x@{DIGEST}")], [image(f"redis@{DIGEST}"), image(f"docker.io/acme/x@{DIGEST}")]),
    "kubernetes/image-pin-mismatch": ([image(f"{SIBLING}@{DIGEST}")], [image(f"{SIBLING}@{SIBLING_DIGEST}"), image(f"redis@{DIGEST}")]),
    "kubernetes/image-runs-as-root": (
        [image(f"{NGINX}@{DIGEST}"), image("nginx"), image(f"{BUSYBOX}@{DIGEST}")],
        [image(f"{SIBLING}@{SIBLING_DIGEST}"), image(f"redis@{DIGEST}"),
         workload(lambda o, p, c: (c.update(image=f"{NGINX}@{DIGEST}"), p["securityContext"].update(runAsUser=101)))]),
    "kubernetes/service-account-token": ([workload(lambda o, p, c: p.pop("automountServiceAccountToken"))], [text(SOUND, POLICY)]),
    "kubernetes/read-only-root": ([workload(lambda o, p, c: c["securityContext"].pop("readOnlyRootFilesystem"))], [text(SOUND, POLICY)]),
    "kubernetes/resources": (
        [workload(lambda o, p, c: c.pop("resources")), workload(lambda o, p, c: c["resources"].pop("limits")),
         workload(lambda o, p, c: c["resources"]["requests"].pop("cpu"))],
        [text(SOUND, POLICY), workload(lambda o, p, c: c.update(resources={"limits": {"cpu": "1", "memory": "1Gi"}}))]),
    "kubernetes/probes": ([workload(lambda o, p, c: c.pop("livenessProbe"))], [text(SOUND, POLICY)]),
    "kubernetes/default-namespace": ([workload(lambda o, p, c: o["metadata"].pop("namespace")), workload(lambda o, p, c: o["metadata"].update(namespace="default"))], [text(SOUND, POLICY)]),
    "kubernetes/model": (
        [workload(lambda o, p, c: c.update(imagee="x")), workload(lambda o, p, c: o["spec"].pop("selector")), workload(lambda o, p, c: o["spec"].update(replicas="three")),
         workload(lambda o, p, c: p.update(securityContxt={}))], [text(SOUND, POLICY)]),
    "kubernetes/secret-in-env": (
        [env("DB_PASSWORD", "hunter22"), env("API_KEY", "abc123def"), env("X", "AKIAABCDEFGHIJKLMNOP"), env("URL", "postgres://u:p4ss@db/x")],
        [env("PASSWORD_FILE", "/run/secret"), env("TOKEN_URL", "https://x"), env("DEBUG", "1"), env("SECRET_NAME", "db"), env("TOKEN", "$(OTHER)"),
         workload(lambda o, p, c: c.update(env=[SECRET_REF]))]),
    "kubernetes/secret-object": ([other("Secret", data={"a": "eA=="}), other("Secret", stringData={"a": "x"}), other("ConfigMap", data={"k": "-----BEGIN RSA PRIVATE KEY-----"})],
                                 [other("ConfigMap", data={"k": "v"}), other("Secret", type="Opaque")]),
    "kubernetes/network-policy": ([text(SOUND), text(SOUND, {**POLICY, "metadata": {"name": "web", "namespace": "other"}}), text(SOUND, {**POLICY, "spec": {"podSelector": {"matchLabels": {"app": "db"}}}}),
                                   text(SOUND, {**POLICY, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}})], [text(SOUND, POLICY)]),
    "kubernetes/network-policy-open": ([policy(ingress=[{}]), policy(ingress=[{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}])],
                                       [policy(), policy(ingress=[{"ports": [{"port": 80}]}]), policy(ingress=[{"from": [{"podSelector": {}}]}])]),
    "kubernetes/load-balancer": ([other("Service", **service(type="LoadBalancer")), other("Service", **service(type="LoadBalancer", loadBalancerSourceRanges=["0.0.0.0/0"]))],
                                 [other("Service", **service()), other("Service", **service(type="LoadBalancer", loadBalancerSourceRanges=["203.0.113.0/24"]))]),
    "kubernetes/node-port": ([other("Service", **service(type="NodePort"))], [other("Service", **service(type="ClusterIP"))]),
    "kubernetes/external-ips": ([other("Service", **service(externalIPs=["1.2.3.4"]))], [other("Service", **service())]),
    "kubernetes/host-path-volume": ([other("PersistentVolume", spec={"hostPath": {"path": "/"}})], [other("PersistentVolume", spec={"csi": {"driver": "d", "volumeHandle": "h"}})]),
    "rbac/wildcard": ([role(verbs=["*"]), role(resources=["*"]), role(apiGroups=["*"]), role(resources=["pods/*"])], [role()]),
    "rbac/escalate": ([role(verbs=["escalate"]), role(verbs=["get", "bind"]), role(verbs=["impersonate"])], [role()]),
    "rbac/pod-exec": ([role(resources=["pods/exec"]), role(resources=["nodes/proxy"])], [role(resources=["pods/log"])]),
    "rbac/secrets": ([role(resources=["secrets"], verbs=["list"])], [role(resources=["secrets"], resourceNames=["a"]), role(resources=["secrets"], verbs=["create"])]),
    "rbac/cluster-admin": ([binding("cluster-admin"), binding("admin"), binding("cluster-admin", kind="RoleBinding")], [binding("view"), binding("edit", kind="RoleBinding")]),
    "rbac/anonymous": ([binding("view", "system:anonymous"), binding("view", "system:authenticated"), binding("view", "system:masters")], [binding("view")]),
    "rbac/webhook-fails-open": ([hook("Ignore")], [hook("Fail")]),
    "rego/kube-system": ([workload(lambda o, p, c: o["metadata"].update(namespace="kube-system"))], [text(SOUND, POLICY)]),
    "rego/single-replica-budget": ([other("PodDisruptionBudget", "policy/v1", spec={"maxUnavailable": 0})], [other("PodDisruptionBudget", "policy/v1", spec={"minAvailable": 1})]),
    "reading/duplicate-object": ([text(SOUND, SOUND, POLICY)], [text(SOUND, POLICY)]),
    "reading/not-an-object": (['{"kind": "Deployment"}', '{"apiVersion": "v1", "kind": "Service", "metadata": {}}', '{"apiVersion": "v1", "kind": "List", "items": [{"a": 1}]}', '{"apiVersion": "v1", "kind": "List", "items": [null]}'], [text(SOUND, POLICY)]),
    "reading/unjudged": (["a: 1\n", other("Thing", "example.com/v1")], [text(SOUND, POLICY)]),
    "reading/hidden-pod-spec": (
        [other("Workflow", "argoproj.io/v1alpha1", spec={"podSpecPatch": "hostNetwork: true"}), other("Object", "example.com/v1", spec={"manifest": "kind: Pod\nspec:\n  containers:\n    - image: x\n"})],
        [other("ConfigMap", data={"notes": "kind: Pod\nspec:\n  containers: []\n"})]),
    "reading/scanner-switch": (["# checkov:skip=CKV_K8S_1: no\n" + text(SOUND, POLICY), workload(lambda o, p, c: o["metadata"].update(annotations={"checkov.io/skip1": "CKV_K8S_20=x"}))], [text(SOUND, POLICY)]),
}  # fmt: skip
BAD = [(rule, given) for rule, (bad, _) in TABLE.items() for given in bad]
FINE = [(rule, given) for rule, (_, fine) in TABLE.items() for given in fine]


@pytest.mark.parametrize(("rule", "given"), BAD)
def test_what_breaks_a_rule(rule: str, given: str) -> None:
    assert rule in rules(judge({"manifests/a.yaml": given}))


@pytest.mark.parametrize(("rule", "given"), FINE)
def test_what_does_not(rule: str, given: str) -> None:
    assert rule not in rules(judge({"manifests/a.yaml": given}))


def test_the_sound_workload_has_no_finding_at_all() -> None:
    assert judge({"manifests/a.yaml": text(SOUND, POLICY)}) == ()


PATCHED = [
    "kubernetes/image-digest",
    "kubernetes/image-pin-mismatch",
    "kubernetes/service-account-token",
    "kubernetes/resources",
    "kubernetes/load-balancer",
    "kubernetes/node-port",
    "kubernetes/external-ips",
    "rbac/webhook-fails-open",
]


@pytest.mark.parametrize(("rule", "given"), [row for row in BAD if row[0] in PATCHED])
def test_the_patch_of_a_rule_satisfies_it(rule: str, given: str) -> None:
    fixes = [fix for f in judge({"a.yaml": given}) if f.rule == rule for fix in f.remediations]
    if rule == "kubernetes/image-digest" and not fixes:
        pytest.fail("a pinned image has its pin as remediation")
    repaired = apply(fixes, {"a.yaml": given.encode()})
    assert rule not in rules(judge({"a.yaml": repaired["a.yaml"].decode()}))


def test_an_image_that_runs_as_root_is_changed_by_parameter_to_its_sibling() -> None:
    (finding,) = [
        f for f in judge({"a.yaml": image(f"{NGINX}@{DIGEST}")}) if f.rule == "kubernetes/image-runs-as-root"
    ]
    assert finding.remediations == (ParameterChange(parameter="image", value=SIBLING),)


def test_an_image_that_runs_as_root_and_has_no_sibling_is_given_a_user() -> None:
    given = image(f"{BUSYBOX}@{DIGEST}")
    fixes = [fix for f in judge({"a.yaml": given}) for fix in f.remediations]
    assert judge({"a.yaml": apply(fixes, {"a.yaml": given.encode()})["a.yaml"].decode()}) == ()


def test_a_rehearsal_pin_is_for_rehearsals_only() -> None:
    facts = CONTEXT.images[SIBLING].model_copy(update={"rehearsal": True})
    context = CONTEXT.model_copy(update={"images": {SIBLING: facts}})
    given = {"a.yaml": text(SOUND, POLICY)}
    assert rules(judge(given, context)) == set()
    assert rules(judge(given, context.model_copy(update={"rehearsal": False}))) == {
        "kubernetes/image-rehearsal-pin"
    }


def test_every_item_of_a_list_is_judged_at_its_own_place() -> None:
    bad = copy.deepcopy(SOUND)
    bad["metadata"]["name"] = "bad"
    bad["spec"]["template"]["spec"]["hostNetwork"] = True
    listing = text({"apiVersion": "v1", "kind": "List", "items": [SOUND, bad, POLICY]})
    (finding,) = judge({"a.yaml": listing})
    assert (finding.rule, finding.resource) == ("pod-security/host-namespaces", "Deployment/bad")
    repaired = apply(finding.remediations, {"a.yaml": listing.encode()})
    assert judge({"a.yaml": repaired["a.yaml"].decode()}) == ()


@pytest.mark.parametrize(
    ("kind", "api", "path"),
    [
        ("Pod", "v1", "spec"),
        ("CronJob", "batch/v1", "spec.jobTemplate.spec.template.spec"),
        ("Job", "batch/v1", "spec.template.spec"),
        ("StatefulSet", "apps/v1", "spec.template.spec"),
        ("PodTemplate", "v1", "template.spec"),
        ("Rollout", "argoproj.io/v1alpha1", "spec.template.spec"),
        ("Anything", "example.com/v1", "spec.deeply.hidden"),
    ],
)
def test_a_privileged_container_is_found_wherever_it_is(kind: str, api: str, path: str) -> None:
    value: Any = {"containers": [{"name": "a", "image": "x", "securityContext": {"privileged": True}}]}
    for key in reversed(path.split(".")):
        value = {key: value}
    found = judge(
        {
            "a.yaml": text(
                {"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "web"}, **value}
            )
        }
    )
    assert "pod-security/privileged" in rules(found)


def test_a_network_policy_in_an_untouched_file_guards_too() -> None:
    from policies.scan import scan
    from tests.fakes.scanning import FixedScanner

    tree = {"manifests/a.yaml": text(SOUND).encode(), "manifests/policy.yaml": text(POLICY).encode()}
    result = scan(tree, {"manifests/a.yaml"}, context=CONTEXT, scanner=FixedScanner())
    assert result.findings == ()
    assert result.judged == ("manifests/a.yaml",)


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"operator": "In", "key": "a", "values": ["1"]}, True),
        ({"operator": "In", "key": "a", "values": ["2"]}, False),
        ({"operator": "NotIn", "key": "a", "values": ["1"]}, False),
        ({"operator": "NotIn", "key": "b", "values": ["1"]}, True),
        ({"operator": "Exists", "key": "a"}, True),
        ({"operator": "DoesNotExist", "key": "a"}, False),
        ({"operator": "Gt", "key": "a", "values": ["0"]}, False),
    ],
)
def test_selectors(expression: dict[str, Any], *, selected: bool) -> None:
    assert selects({"matchExpressions": [expression]}, {"a": "1"}) is selected


def test_canonical_json_does_not_depend_on_how_it_was_written() -> None:
    one = documents.read("a.yaml", b"b: 1\na: {d: 2, c: x}\n").documents[0].canonical()
    two = documents.read("a.json", b'{"a": {"c": "x", "d": 2}, "b": 1}').documents[0].canonical()
    assert one == two == b'{"a":{"c":"x","d":2},"b":1}'


def test_a_list_that_holds_more_than_items_is_judged_as_an_object_too() -> None:
    pod = {"containers": [{"name": "a", "image": "x", "securityContext": {"privileged": True}}]}
    hidden = {
        "apiVersion": "example.com/v1",
        "kind": "JobList",
        "metadata": {"name": "a"},
        "items": [],
        "spec": pod,
    }
    assert "pod-security/privileged" in rules(judge({"a.yaml": text(hidden)}))
