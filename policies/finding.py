"""What is wrong with a change, and the edit that would make it right."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from policies.change import RepoPath, Word


class Severity(StrEnum):
    """How bad; compared by `rank`."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low up to 3 for critical."""
        return list(Severity).index(self)


class RuleClass(StrEnum):
    """The class that each rule belongs to."""

    POD_SECURITY = "pod-security"
    PUBLIC_STORAGE = "public-storage"
    IAM = "iam"
    OPEN_INGRESS = "open-ingress"
    ENCRYPTION = "encryption"
    PUBLIC_ENDPOINT = "public-endpoint"
    SECRETS = "secrets"
    CODE_EXECUTION = "code-execution"
    STATE = "state"
    WORKFLOW = "workflow"
    GITOPS = "gitops"
    RBAC = "rbac"
    SUPPLY_CHAIN = "supply-chain"
    READING = "reading"
    LOGGING = "logging"
    RELIABILITY = "reliability"
    SCOPE = "scope"


class SetValue(Word):
    """Set a value at an RFC 6901 pointer, making missing parent maps; `remove` takes the key away."""

    pointer: str
    value: JsonValue = None
    remove: bool = False


class ManifestPatch(Word):
    """Edits of one Kubernetes object in a YAML or JSON file."""

    kind: Literal["manifest"] = "manifest"
    path: RepoPath
    object_kind: str
    object_name: str
    edits: tuple[SetValue, ...] = Field(min_length=1)


class HclEdit(Word):
    """Set or remove one attribute of a block, or append a nested or top-level block given as text.

    `block` is the address, such as ("resource", "aws_s3_bucket", "logs"), followed by nested block names;
    an empty `block` appends `append` to the file.
    """

    kind: Literal["hcl"] = "hcl"
    path: RepoPath
    block: tuple[str, ...] = ()
    attribute: str | None = None
    expression: str | None = Field(
        default=None, description="HCL expression text; None removes the attribute"
    )
    append: str | None = Field(default=None, description="HCL text of a block to append")


class TextEdit(Word):
    """Replace one exact text, which must occur exactly once in the file."""

    kind: Literal["text"] = "text"
    path: RepoPath
    old: str
    new: str


class ParameterChange(Word):
    """Render the blueprint again with another value of a parameter."""

    kind: Literal["parameter"] = "parameter"
    blueprint: str | None = None
    parameter: str
    value: JsonValue


Remediation = Annotated[ManifestPatch | HclEdit | TextEdit | ParameterChange, Field(discriminator="kind")]


class Finding(Word):
    """One fault. `message` says what and where, `why` the harm, `remedy` in words what would satisfy."""

    rule: str = Field(description="stable id, such as pod-security/run-as-non-root or checkov/CKV_AWS_145")
    rule_class: RuleClass
    severity: Severity
    engine: str = Field(description="countersign, checkov, rego, kubernetes-models, terraform, plan")
    path: str
    resource: str = Field(description="aws_s3_bucket.logs, Deployment/web/nginx, job plan ...")
    message: str
    why: str
    remedy: str = ""
    line: int | None = None
    remediations: tuple[Remediation, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two findings the same one across rounds."""
        return (self.rule, self.path, self.resource, self.engine)


class ImageFacts(Word):
    """What knowledge/pins.toml says of an image that the policies need: who it runs as, and its safe sibling."""

    repository: str
    digest: str | None = None
    user: int | None = None
    unprivileged_sibling: str | None = None
    rehearsal: bool = False


ImageTable = Mapping[str, ImageFacts]
"""Full image repository (docker.io/library/nginx) -> facts."""
