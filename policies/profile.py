"""A profile is an allow-list of scope, thresholds and required signers. What it does not list is no."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from policies.change import Word
from policies.finding import Severity


class ProfileFaultError(Exception):
    """The profile is unknown or unreadable; the message names the known ones or the wrong field."""


class Scope(Word):
    """The only places and calls that a change may name. Entries are exact, or `*` as a whole or at the end."""

    repositories: tuple[str, ...] = ()
    paths: tuple[str, ...] = Field(default=(), description="path patterns such as infra/*, .github/workflows/terraform.yml")
    clusters: tuple[str, ...] = Field(default=(), description="cluster uids")
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = Field(default=(), description="Kubernetes kinds, such as Deployment.apps or Service")
    verbs: tuple[str, ...] = Field(default=(), description="server.verb")
    registries: tuple[str, ...] = ()
    deletes: tuple[str, ...] = Field(default=(), description="path patterns that may be deleted")
    providers: tuple[str, ...] = Field(default=(), description="Terraform providers, such as hashicorp/aws")


class Profile(Word):
    """What a kind of target demands before anything may happen to it."""

    name: str
    description: str
    rehearsal: bool = Field(default=False, description="only sandbox keys and sandbox targets")
    unattended: bool = Field(default=False, description="whether --yes may answer for the person")
    scope: Scope
    blocking: Severity = Field(default=Severity.MEDIUM, description="findings at or above this block")
    never_waive: tuple[str, ...] = ()
    pod_security: Literal["baseline", "restricted"] = "restricted"
    automated_sync: bool = False
    rounds: int = Field(default=4, ge=1, le=20)
    reviewers: tuple[str, ...] = Field(default=(), description="GitHub logins asked to review after publish")
    approval: Literal["none", "person", "reviewer"] = "person"
    signers: tuple[str, ...] = ("security",)
    signoff_minutes: int = Field(default=60, ge=1, le=1440)
    rehearsal_pins: bool = Field(default=False, description="images whose pin was never seen in a registry are allowed")

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
