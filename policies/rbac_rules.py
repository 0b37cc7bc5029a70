"""Rights: roles that grant more than a change may, bindings to everybody, webhooks that fail open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policies.finding import Finding, SetValue
from policies.kubernetes_objects import ManifestObject, mapping, sequence
from policies.rules import rule

_RBAC = "rbac.authorization.k8s.io"
_ESCALATING = frozenset({"escalate", "bind", "impersonate"})
_EXEC = frozenset({"pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "pods/ephemeralcontainers"})
_READS = frozenset({"get", "list", "watch", "*"})
_ADMIN_ROLES = frozenset({"cluster-admin", "admin", "edit"})
_EVERYBODY = frozenset(
    {"system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"}
)


def rights(owner: ManifestObject) -> Iterator[Finding]:
    """Findings on a Role, ClusterRole, binding or admission webhook; nothing for other kinds."""
    if owner.group == _RBAC and owner.kind in {"Role", "ClusterRole"}:
        for index, granted in enumerate(sequence(owner.value.get("rules"))):
            yield from _role_rule(owner, index, mapping(granted))
    elif owner.group == _RBAC and owner.kind in {"RoleBinding", "ClusterRoleBinding"}:
        yield from _binding(owner)
    elif owner.kind in {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}:
        yield from _webhooks(owner)


def _role_rule(owner: ManifestObject, index: int, granted: dict[str, Any]) -> Iterator[Finding]:
    line = owner.line(f"/rules/{index}")
    where = f"{owner.label}/rules/{index}"
    verbs = {str(v) for v in sequence(granted.get("verbs"))}
    resources = {str(r) for r in sequence(granted.get("resources"))}
    groups = {str(g) for g in sequence(granted.get("apiGroups"))}

    def found(name: str, message: str) -> Finding:
        return rule(name).finding(owner.path, where, f"{where} {message}", line=line)

    if (
        "*" in verbs
        or "*" in groups
        or any(r == "*" or r.startswith("*/") or r.endswith("/*") for r in resources)
    ):
        yield found("rbac/wildcard", "grants by wildcard")
    if verbs & _ESCALATING:
        yield found("rbac/escalate", f"grants {', '.join(sorted(verbs & _ESCALATING))}")
    if resources & _EXEC:
        yield found("rbac/pod-exec", f"grants {', '.join(sorted(resources & _EXEC))}")
    if "secrets" in resources and verbs & _READS and not granted.get("resourceNames"):
        yield found("rbac/secrets", "reads every Secret")


def _binding(owner: ManifestObject) -> Iterator[Finding]:
    role = mapping(owner.value.get("roleRef"))
    name = str(role.get("name"))
    admin = name == "cluster-admin" or (owner.kind == "ClusterRoleBinding" and name in _ADMIN_ROLES)
    if role.get("kind") == "ClusterRole" and admin:
        message = f"{owner.label} gives {name} in {'the whole cluster' if owner.kind == 'ClusterRoleBinding' else owner.namespace}"
        yield rule("rbac/cluster-admin").finding(
            owner.path, owner.label, message, line=owner.line("/roleRef")
        )
    for index, subject in enumerate(map(mapping, sequence(owner.value.get("subjects")))):
        who = str(subject.get("name"))
        if who in _EVERYBODY or who == "system:masters":
            message = f"{owner.label} gives {name} to {who}"
            yield rule("rbac/anonymous").finding(
                owner.path, owner.label, message, line=owner.line(f"/subjects/{index}")
            )


def _webhooks(owner: ManifestObject) -> Iterator[Finding]:
    for index, webhook in enumerate(map(mapping, sequence(owner.value.get("webhooks")))):
        if webhook.get("failurePolicy") == "Ignore":
            where = f"{owner.label}/{webhook.get('name')}"
            edit = owner.patch(SetValue(pointer=f"/webhooks/{index}/failurePolicy", value="Fail"))
            message = f"{where} is skipped when it does not answer"
            line = owner.line(f"/webhooks/{index}/failurePolicy")
            yield rule("rbac/webhook-fails-open").finding(
                owner.path, where, message, line=line, remediations=edit
            )
