"""One scan over all engines: every file and object of a change accounted for, each fault said once.

Charged to the change are the findings on its own files, and those on an untouched file of a Terraform folder that
the change touches (one folder is one module: a new policy can make an old bucket public).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

from pydantic import Field

from policies import documents, kubernetes_models
from policies.change import CommitSha, Word
from policies.checkov_rules import checkov_findings
from policies.finding import Finding, ImageFacts
from policies.images import image_findings
from policies.kubernetes_objects import ManifestObject, objects_of, odd_items
from policies.kubernetes_rules import surroundings, unguarded, workload
from policies.pod_security_rules import namespace_level, pod_security
from policies.pod_specs import hidden_pod_specs, pod_specs
from policies.rbac_rules import rights
from policies.rules import ENGINE, rule, table_digest
from policies.scanner.client import Scanner, ScannerFaultError, ScannerReport
from policies.terraform_rules import HCL_ENDINGS, TerraformTree, judge_terraform

MANIFEST_ENDINGS = (".yaml", ".yml", ".json")
Engine = Literal["checkov", "kubernetes-models", "rego"]


class ScanContext(Word):
    """What the engines need to know beyond the files. Nothing is allowed that is not named here."""

    images: Mapping[str, ImageFacts] = Field(default={}, description="image repository -> facts")
    action_pins: Mapping[str, str] = Field(default={}, description="owner/action@tag -> full commit SHA")
    allowed_registries: frozenset[str] = frozenset()
    allowed_providers: frozenset[str] = Field(default=frozenset(), description="such as hashicorp/aws")
    allowed_modules: frozenset[str] = Field(default=frozenset(), description="prefixes of module sources")
    pod_security_level: Literal["baseline", "restricted"] = "restricted"
    clone_url: str | None = Field(default=None, description="the repository that GitOps objects must name")
    expected_commit: CommitSha | None = None
    rehearsal: bool = False
    allow_automated_sync: bool = False
    without: frozenset[Engine] = Field(default=frozenset(), description="engines that this environment lacks, said aloud")


class ScanResult(Word):
    """Findings sorted by file, line and rule; `engines` as name@version; `judged` names every file that was read."""

    findings: tuple[Finding, ...]
    engines: tuple[str, ...]
    judged: tuple[str, ...]


def scan(
    tree: Mapping[str, bytes], changed: AbstractSet[str], *, context: ScanContext, scanner: Scanner | None
) -> ScanResult:
    """Judge the resulting `tree` for the paths that the change adds, modifies or deletes.

    Raises ScannerFaultError when checkov is missing without being named in `context.without`, or cannot be trusted.
    """
    present = {path for path in changed if path in tree}
    terraform = TerraformTree.read({path: data for path, data in tree.items() if path.endswith(HCL_ENDINGS)})
    ours = [*judge_terraform(terraform), *_manifests(tree, present, context)]
    ours += _accounted(present)
    report = _checkov(tree, present, scanner, context)
    found = list(ours)
    if report:
        found += checkov_findings(report, ours)
        found += _gaps(report, {finding.path for finding in ours if finding.rule.startswith("reading/")})
    charged = [finding for finding in found if _charged(finding.path, changed)]
    return ScanResult(
        findings=_sorted_once(charged),
        engines=_engines(context, report),
        judged=tuple(sorted(present)),
    )


def _charged(path: str, changed: AbstractSet[str]) -> bool:
    if path in changed:
        return True
    folder = posixpath.dirname(path)
    return path.endswith(HCL_ENDINGS) and any(c.endswith(HCL_ENDINGS) and posixpath.dirname(c) == folder for c in changed)


def _sorted_once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    once = {(f.rule, f.path, f.resource, f.message): f for f in findings}
    return tuple(sorted(once.values(), key=lambda f: (f.path, f.line or 0, f.rule, f.resource, f.message)))


def _manifests(tree: Mapping[str, bytes], present: AbstractSet[str], context: ScanContext) -> Iterator[Finding]:
    objects: list[ManifestObject] = []
    for path in sorted(present):
        if not path.endswith(MANIFEST_ENDINGS) or path.endswith(HCL_ENDINGS) or path.startswith(".github/"):
            continue
        reading = documents.read(path, tree[path])
        yield from reading.findings
        for document in reading.documents:
            yield from odd_items(document)
            objects += objects_of(document)
    for owner in objects:
        yield from _object(owner, context)
    yield from unguarded(objects)


def _object(owner: ManifestObject, context: ScanContext) -> Iterator[Finding]:
    level = context.pod_security_level
    yield from hidden_pod_specs(owner)
    yield from namespace_level(owner, level)
    yield from surroundings(owner)
    yield from rights(owner)
    if "kubernetes-models" not in context.without:
        yield from kubernetes_models.misfits(owner)
    for at in pod_specs(owner):
        yield from pod_security(at, level)
        yield from workload(at)
        yield from image_findings(at, context.images, context.allowed_registries, rehearsal=context.rehearsal)


def _accounted(present: AbstractSet[str]) -> Iterator[Finding]:
    """Files that no engine reads."""
    for path in sorted(present):
        if not path.endswith((*MANIFEST_ENDINGS, *HCL_ENDINGS)):
            yield rule("reading/unjudged").finding(path, path, f"no engine reads {path}")


def _checkov(
    tree: Mapping[str, bytes], present: AbstractSet[str], scanner: Scanner | None, context: ScanContext
) -> ScannerReport | None:
    if scanner is None:
        if "checkov" in context.without:
            return None
        raise ScannerFaultError("there is no scanner, and nothing is judged without one")
    wanted = {path for path in present if path.endswith((*MANIFEST_ENDINGS, ".tf"))}
    if any(path.endswith(HCL_ENDINGS) for path in present):
        wanted |= {path for path in tree if path.endswith((".tf", ".tfvars"))}
    return scanner.scan({path: tree[path] for path in sorted(wanted)})


def _gaps(report: ScannerReport, known: AbstractSet[str]) -> Iterator[Finding]:
    for path in report.parsing_errors:
        if path not in known:
            yield rule("reading/scanner-gap").finding(path, path, f"{report.scanner} cannot parse {path}")


def _engines(context: ScanContext, report: ScannerReport | None) -> tuple[str, ...]:
    engines = [f"{ENGINE}@{table_digest()[7:19]}"]
    if "kubernetes-models" not in context.without:
        engines.append(kubernetes_models.engine_name())
    if report:
        engines.append(report.scanner)
    return tuple(sorted(engines))
