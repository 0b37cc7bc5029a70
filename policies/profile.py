"""A profile is an allow-list of scope, thresholds and required signers. What it does not list is no."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from policies.change import MANIFEST_NAME, ChangeSet, Operation, Phase, Word
from policies.finding import Finding, RuleClass, Severity

ApproverRole = Literal["security", "person"]
"""Whose signatures a profile may demand on a sign-off."""


class ProfileFaultError(Exception):
    """The profile is unknown or unreadable; the message names the known ones or the wrong field."""


class Scope(Word):
    """The only places and calls that a change may name. Entries are exact, or `*` as a whole or at the end."""

    repositories: tuple[str, ...] = ()
    paths: tuple[str, ...] = Field(
        default=(), description="path patterns such as infra/*, .github/workflows/terraform.yml"
    )
    clusters: tuple[str, ...] = Field(default=(), description="cluster uids")
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = Field(
        default=(), description="Kubernetes kinds, such as Deployment.apps or Service"
    )
    verbs: tuple[str, ...] = Field(default=(), description="server.verb")
    registries: tuple[str, ...] = ()
    deletes: tuple[str, ...] = Field(default=(), description="path patterns that may be deleted")
    providers: tuple[str, ...] = Field(default=(), description="Terraform providers, such as hashicorp/aws")


class Limits(Word):
    """How much one run may do. Each is a stop of its own: `limit-effects`, `-rate`, `-time`, `-size`, `-calls`, `-call-rate`."""

    effects: int = Field(
        default=200, ge=1, le=10_000, description="mutating calls of one run, repeated ones included"
    )
    effects_per_minute: int = Field(default=60, ge=1, le=10_000)
    minutes: int = Field(
        default=1440, ge=1, description="from the run's first word to its last mutating call"
    )
    signed_bytes: int = Field(
        default=20 * 2**20, ge=1, description="what one run may have signed, all phases together"
    )
    calls: int = Field(default=20_000, ge=1, description="calls of any kind that one gate process answers")
    calls_per_minute: int = Field(default=3000, ge=1)


class Profile(Word):
    """What a kind of target demands before anything may happen to it."""

    name: str
    description: str
    rehearsal: bool = Field(default=False, description="only sandbox keys and sandbox targets")
    unattended: bool = Field(default=False, description="whether --yes may answer for the person")
    scope: Scope
    limits: Limits = Limits()
    blocking: Severity = Field(default=Severity.MEDIUM, description="findings at or above this block")
    never_waive: tuple[str, ...] = ()
    pod_security: Literal["baseline", "restricted"] = "restricted"
    automated_sync: bool = False
    rounds: int = Field(default=4, ge=1, le=20)
    reviewers: tuple[str, ...] = Field(
        default=(),
        description='GitHub logins and owner/team asked to review after publish; with approval = "reviewer" a login\'s review approves',
    )
    approval: Literal["none", "person", "reviewer"] = "person"
    signers: tuple[ApproverRole, ...] = Field(default=("security",), min_length=1)
    signoff_minutes: int = Field(default=60, ge=1, le=1440)
    rehearsal_pins: bool = Field(
        default=False, description="images whose pin was never seen in a registry are allowed"
    )

    @property
    def may_approve(self) -> tuple[str, ...]:
        """Whose review may approve: the accounts among the reviewers; a team's members are not known here."""
        return tuple(name for name in self.reviewers if "/" not in name)

    def guardrails(self) -> str:
        """The profile in sentences, for persona files and `countersign doctor`."""
        scope = self.scope
        lines = [
            f"Profile {self.name}: {self.description}",
            f"Findings of severity {self.blocking} or worse block a signature; nothing you say waives one.",
            f"Only these calls exist: {', '.join(scope.verbs) or 'none'}.",
            f"Only these paths may change: {', '.join(scope.paths) or 'none'}; deletable: {', '.join(scope.deletes) or 'none'}.",
            f"Namespaces: {', '.join(scope.namespaces) or 'none'}. Registries: {', '.join(scope.registries) or 'none'}.",
            f"Pods meet the {self.pod_security} Pod Security Standard. At most {self.rounds} rounds of negotiation.",
        ]
        return "\n".join(lines)


def load(path: Path) -> Profile:
    """Parse one profile file. Raises ProfileFaultError with the field that is wrong."""
    try:
        return Profile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml"))) or "none"
        raise ProfileFaultError(f"there is no profile {path.stem!r}; known profiles: {known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as fault:
        raise ProfileFaultError(f"profile {path.name} cannot be used: {fault}") from fault


def matches(patterns: tuple[str, ...], value: str) -> bool:
    """Whether a scope entry names the value: exactly, as `*`, or as a prefix that ends in `*`."""
    return any(value.startswith(p[:-1]) if p.endswith("*") else value == p for p in patterns)


def scope_findings(change: ChangeSet, profile: Profile) -> list[Finding]:
    """One critical finding for each place or call that the profile does not list. A clean change may still be one."""
    scope, to = profile.scope, change.destination
    named: list[tuple[str, tuple[str, ...], str, str]] = []
    if (
        change.phase is not Phase.DEPLOY
    ):  # a deploy's artifacts are objects, which have kinds and namespaces, not paths
        named += [("path", scope.paths, artifact.path, artifact.path) for artifact in change.artifacts]
    named += [
        ("delete", scope.deletes, a.path, a.path) for a in change.artifacts if a.operation is Operation.DELETE
    ]
    named += [("verb", scope.verbs, grant.name, f"grant {grant.seq}") for grant in change.grants]
    if to.repository:
        named.append(("repository", scope.repositories, to.repository.full_name, "destination"))
    if to.cluster:
        named.append(("cluster", scope.clusters, to.cluster.uid, "destination"))
        named += [("namespace", scope.namespaces, name, "destination") for name in to.cluster.namespaces]
    return [
        scope_finding(kind, value, resource, profile)
        for kind, patterns, value, resource in named
        if not matches(patterns, value) or (kind == "namespace" and _system(value) and value not in patterns)
    ]


def _system(namespace: str) -> bool:
    """The cluster's own namespaces: `*` does not mean them, only their names do."""
    return namespace.startswith("kube-")


def scope_finding(kind: str, value: str, resource: str, profile: Profile) -> Finding:
    """`value` is outside the profile's list of that kind."""
    return Finding(
        rule=f"scope/{kind}",
        rule_class=RuleClass.SCOPE,
        severity=Severity.CRITICAL,
        engine="countersign",
        path=value if kind in {"path", "delete"} else MANIFEST_NAME,
        resource=resource,
        message=f"{kind} {value} is outside profile {profile.name}",
        why="a profile is an allow-list: what it does not name may not be touched, however clean the change is",
        remedy=f"leave {value} out, or ask the owner of profile {profile.name} to list it",
    )
