"""One scan over all engines: every file and object of a change accounted for, each fault said once.

Charged to the change are the findings on its own files, and those on an untouched file of a Terraform folder that
the change touches (one folder is one module: a new policy can make an old bucket public).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Literal

from pydantic import Field

from policies import kubernetes_models, rego
from policies.change import CommitSha, Word
from policies.checkov_rules import checkov_findings
from policies.finding import Finding, ImageFacts
from policies.kubernetes_judge import judge_manifests
from policies.reading import MANIFEST_ENDINGS, is_hcl, is_manifest, switches, unread
from policies.rules import ENGINE, rule, table_digest
from policies.scanner.client import Scanner, ScannerFaultError, ScannerReport
from policies.terraform_rules import CALLS_MOST, TerraformTree, judge_terraform
from policies.workflow_rules import judge_workflow
from policies.workflows import is_workflow, read_workflow, triggered_by

Engine = Literal["checkov", "kubernetes-models", "rego"]


class ScanContext(Word):
    """What the engines need to know beyond the files. Nothing is allowed that is not named here."""

    images: Mapping[str, ImageFacts] = Field(default={}, description="image repository -> facts")
    action_pins: Mapping[str, str] = Field(default={}, description="owner/action@tag -> full commit SHA")
    allowed_registries: frozenset[str] = Field(
        default=frozenset(), description="such as docker.io or ghcr.io/acme"
    )
    allowed_providers: frozenset[str] = Field(default=frozenset(), description="such as hashicorp/aws")
    allowed_modules: frozenset[str] = Field(default=frozenset(), description="prefixes of module sources")
    pod_security_level: Literal["baseline", "restricted"] = "restricted"
    clone_url: str | None = Field(default=None, description="the repository that GitOps objects must name")
    expected_commit: CommitSha | None = None
    rehearsal: bool = False
    allow_automated_sync: bool = False
    starts: Mapping[str, str] = Field(
        default={},
        description="GitHub event -> branch that submitting sets off; the workflows it starts are listed",
    )
    rego: Mapping[str, str] = Field(
        default={}, description="the user's own policies: file name -> Rego v1 text"
    )
    without: frozenset[Engine] = Field(
        default=frozenset(), description="engines that this environment lacks, said aloud"
    )


class ScanResult(Word):
    """Findings sorted by file, line and rule; `engines` as name@version; `judged` names every file that was read."""

    findings: tuple[Finding, ...]
    engines: tuple[str, ...]
    judged: tuple[str, ...]


def scan(
    tree: Mapping[str, bytes],
    changed: AbstractSet[str],
    *,
    context: ScanContext,
    scanner: Scanner | None,
    base: Mapping[str, bytes] | None = None,
) -> ScanResult:
    """Judge the resulting `tree` for the paths that the change adds, modifies or deletes; `base` is the tree before.

    Raises ScannerFaultError when checkov is missing without being named in `context.without`, or cannot be trusted,
    and RegoFaultError for a policy that cannot be used.
    """
    present = {path for path in changed if path in tree}
    folders = _folders(tree, changed)
    ours = list(_ours(tree, present, changed, context, base))
    report = _checkov(tree, present, scanner, context)
    found = list(ours)
    if report:
        known = {finding.path for finding in ours if finding.rule_class == "reading"}
        found += [*checkov_findings(report, ours), *_gaps(report, known)]
    charged = [finding for finding in found if _charged(finding.path, changed, folders)]
    # whoever wrote them, the workflows of the resulting tree run because of this change
    started = [
        finding
        for event, branch in context.starts.items()
        for finding in triggered_by(tree, event, branch=branch)
    ]
    return ScanResult(
        findings=_sorted_once([*charged, *started]),
        engines=_engines(context, report),
        judged=tuple(sorted(present)),
    )


def _ours(
    tree: Mapping[str, bytes],
    present: AbstractSet[str],
    changed: AbstractSet[str],
    context: ScanContext,
    base: Mapping[str, bytes] | None,
) -> Iterator[Finding]:
    if any(map(is_hcl, changed)):
        yield from judge_terraform(
            _terraform(tree),
            base=None if base is None else _terraform(base),
            providers=context.allowed_providers,
            modules=context.allowed_modules,
        )
    yield from judge_manifests(tree, present, context, _policies(context))
    for path in sorted(present):
        yield from switches(path, tree[path])
        if is_workflow(path):
            workflow, findings = read_workflow(path, tree[path])
            yield from findings
            if workflow:
                yield from judge_workflow(workflow, context.action_pins)
        elif not is_hcl(path) and not is_manifest(path):
            yield from unread(path)


def _terraform(tree: Mapping[str, bytes]) -> TerraformTree:
    return TerraformTree.read({path: data for path, data in tree.items() if is_hcl(path)})


def _policies(context: ScanContext) -> rego.RegoEngine | None:
    if "rego" in context.without:
        return None
    return rego.RegoEngine((*rego.our_bundle(), *rego.load(context.rego)))


def _folders(tree: Mapping[str, bytes], changed: AbstractSet[str]) -> AbstractSet[str]:
    """The Terraform folders that the change touches, and those that it calls: a call decides what they make."""
    folders = {posixpath.dirname(path) for path in changed if is_hcl(path)}
    if not folders:
        return folders
    terraform = _terraform(tree)
    touched = [terraform.modules[name] for name in folders if name in terraform.modules]
    called = (islice(terraform.called_from(module), CALLS_MOST) for module in touched)
    return folders | {module.folder for modules in called for module in modules}


def _charged(path: str, changed: AbstractSet[str], folders: AbstractSet[str]) -> bool:
    return path in changed or (is_hcl(path) and posixpath.dirname(path) in folders)


def _sorted_once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    once = {(f.rule, f.path, f.resource, f.message): f for f in findings}
    return tuple(sorted(once.values(), key=lambda f: (f.path, f.line or 0, f.rule, f.resource, f.message)))


def _checkov(
    tree: Mapping[str, bytes], present: AbstractSet[str], scanner: Scanner | None, context: ScanContext
) -> ScannerReport | None:
    if scanner is None:
        if "checkov" in context.without:
            return None
        raise ScannerFaultError("there is no scanner, and nothing is judged without one")
    wanted = {path for path in present if path.endswith((*MANIFEST_ENDINGS, ".tf"))}
    if any(map(is_hcl, present)):
        wanted |= {path for path in tree if path.endswith((".tf", ".tfvars"))}
    return scanner.scan({path: tree[path] for path in sorted(wanted)})


def _gaps(report: ScannerReport, known: AbstractSet[str]) -> Iterator[Finding]:
    unread_workflows = [path for path in report.unread if is_workflow(path)]
    for path in (*report.parsing_errors, *unread_workflows):
        if path not in known:
            yield rule("reading/scanner-gap").finding(path, path, f"{report.scanner} cannot parse {path}")


def _engines(context: ScanContext, report: ScannerReport | None) -> tuple[str, ...]:
    engines = [f"{ENGINE}@{table_digest()[7:19]}"]
    if "kubernetes-models" not in context.without:
        engines.append(kubernetes_models.engine_name())
    if "rego" not in context.without:
        engines.append(rego.engine_name())
    if report:
        engines.append(report.scanner)
    return tuple(sorted(engines))
