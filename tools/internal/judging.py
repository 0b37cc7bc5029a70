"""The tools that look at files before they are proposed: our own rules, the manifests' models, a Terraform preview.

They inform. What counts is the notary's own judgement of the resulting tree, in its own scanner.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping

from pydantic import Field

from policies import kubernetes_models
from policies.change import CommitSha, RepoPath, Word
from policies.documents import read
from policies.finding import Finding
from policies.kubernetes_objects import ManifestObject, objects_of, odd_items
from policies.pins import Pins
from policies.profile import Profile
from policies.reading import MANIFEST_ENDINGS
from policies.scan import Engine, ScanContext, scan
from tools.terraform import Preview, Terraform, folders_of
from tools.tool import Tool, ToolRefusedError

Texts = Mapping[RepoPath, str]


class Files(Word):
    """Path in the repository -> whole text."""

    files: Texts = Field(max_length=500)


class PreviewTerraform(Files):
    """Files of which the Terraform folders are previewed; `plan` takes longer and lists what would be made."""

    plan: bool = False


class Previews(Word):
    """One preview for each Terraform folder."""

    previews: tuple[Preview, ...]


class Validated(Word):
    """What the files' objects are, and which the API server would not take."""

    objects: tuple[str, ...] = Field(description="Kind/name, in the order of the files")
    findings: tuple[Finding, ...]
    checked_by: tuple[str, ...]
    left_to_the_notary: tuple[str, ...] = Field(default=(), description="what could not be checked here")


class CheckPolicy(Files):
    """The resulting tree, and what the rules must know of the target."""

    changed: tuple[RepoPath, ...] | None = Field(default=None, description="paths to judge; absent: all")
    clone_url: str | None = None
    expected_commit: CommitSha | None = Field(default=None, description="the commit that publish produced")
    rehearsal: bool = False


class Checked(Word):
    """Findings of the engines that run here. A clean answer is no signature."""

    findings: tuple[Finding, ...]
    blocking: tuple[str, ...] = Field(description="rules of findings that the profile does not let pass")
    engines: tuple[str, ...]
    left_to_the_notary: tuple[str, ...]


def tools(terraform: Terraform, profile: Profile, pins: Pins) -> tuple[Tool, ...]:
    """preview_terraform, validate_manifests and check_policy under one profile."""

    def preview(asked: PreviewTerraform) -> Previews:
        folders = folders_of(_bytes(asked.files))
        return Previews(
            previews=tuple(terraform.preview(name, files, plan=asked.plan) for name, files in folders.items())
        )

    def check(asked: CheckPolicy) -> Checked:
        context = _context(asked, profile, pins)
        tree = _bytes(asked.files)
        changed = frozenset(tree) if asked.changed is None else frozenset(asked.changed)
        if missing := sorted(changed - set(tree)):
            raise ToolRefusedError(
                "files-missing",
                f"changed but not given: {', '.join(missing)}.",
                "Send every changed file whole.",
            )
        result = scan(tree, changed, context=context, scanner=None)
        blocking = dict.fromkeys(f.rule for f in result.findings if f.severity.rank >= profile.blocking.rank)
        return Checked(
            findings=result.findings,
            blocking=tuple(blocking),
            engines=result.engines,
            left_to_the_notary=tuple(sorted(context.without)),
        )

    return (
        Tool(
            name="preview_terraform",
            description="terraform fmt, init, validate and, if asked, plan of each Terraform folder among the files, against an "
            "empty state, without network and credentials. Informs only; says so where Terraform is missing.",
            arguments=PreviewTerraform,
            result=Previews,
            call=preview,
        ),
        Tool(
            name="validate_manifests",
            description="Reads the Kubernetes manifests among the files strictly and lists their objects; names misspelt fields and "
            "wrong types where the Kubernetes models are at hand, and says what is left to the notary.",
            arguments=Files,
            result=Validated,
            call=_validate,
        ),
        Tool(
            name="check_policy",
            description="Judges files by the active profile's rules: Pod Security, Terraform, workflows, GitOps, supply chain. Each "
            "finding says why and carries the edit that would satisfy it. Less than what the notary checks before it signs.",
            arguments=CheckPolicy,
            result=Checked,
            call=check,
        ),
    )


def _bytes(files: Texts) -> Mapping[str, bytes]:
    try:
        return {path: text.encode() for path, text in files.items()}
    except UnicodeEncodeError as fault:
        raise ToolRefusedError(
            "files-refused", "a file holds a lone surrogate.", "Send UTF-8 text."
        ) from fault


def _absent() -> frozenset[Engine]:
    """Engines that this environment does not have."""
    absent: set[Engine] = {"checkov"}
    if not _has_models():
        absent.add("kubernetes-models")
    if importlib.util.find_spec("regopy") is None:
        absent.add("rego")
    return frozenset(absent)


def _has_models() -> bool:
    """Whether the Kubernetes client here is one whose models check what they read: since 37 they are pydantic's."""
    try:
        return int(importlib.metadata.version("kubernetes").partition(".")[0]) >= 37
    except importlib.metadata.PackageNotFoundError:
        return False


def _context(asked: CheckPolicy, profile: Profile, pins: Pins) -> ScanContext:
    return ScanContext(
        images=pins.image_table(),
        action_pins=pins.action_pins(),
        allowed_registries=frozenset(profile.scope.registries),
        allowed_providers=frozenset(profile.scope.providers),
        pod_security_level=profile.pod_security,
        clone_url=asked.clone_url,
        expected_commit=asked.expected_commit,
        rehearsal=asked.rehearsal,
        allow_automated_sync=profile.automated_sync,
        without=_absent(),
    )


def _validate(asked: Files) -> Validated:
    objects: list[ManifestObject] = []
    findings: list[Finding] = []
    for path, data in sorted(_bytes(asked.files).items()):
        if not path.endswith(MANIFEST_ENDINGS) or path.startswith(".github/"):
            continue
        reading = read(path, data)
        findings += reading.findings
        for document in reading.documents:
            findings += odd_items(document)
            objects += objects_of(document)
    without = _absent() & {"kubernetes-models"}
    if not without:
        findings += [finding for owner in objects for finding in kubernetes_models.misfits(owner)]
    engines = () if without else (kubernetes_models.engine_name(),)
    return Validated(
        objects=tuple(owner.label for owner in objects),
        findings=tuple(findings),
        checked_by=("strict reader", *engines),
        left_to_the_notary=tuple(sorted(without)),
    )
