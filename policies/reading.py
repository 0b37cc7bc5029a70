"""Which engine reads which file; files that none reads; text that tries to switch a scanner off."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from policies.finding import Finding
from policies.rules import rule

MANIFEST_ENDINGS = (".yaml", ".yml", ".json")
HCL_ENDINGS = (".tf", ".tfvars", ".tf.json", ".hcl", ".tfvars.json")
_SWITCH_FILES = re.compile(
    r"\.(checkov|tflint|tfsec|trivy|kics|terrascan|semgrep|zizmor|conftest|kube-?linter)(\.|ignore|$).*"
)
_SWITCH_TEXT = re.compile(
    rb"(checkov|bridgecrew)\s*:\s*skip\s*=|checkov\.io/skip|tfsec:ignore|trivy:ignore|tflint-ignore|kics-scan\s+(ignore|disable)"
    rb"|nosemgrep|zizmor:\s*ignore|ts:skip=|ignore-check\.kube-linter\.io"
)
_FOR_PEOPLE = (".md", ".txt", ".adoc", ".rst")
_FOR_PEOPLE_NAMES = frozenset({"LICENSE", "NOTICE", ".gitignore", ".editorconfig", ".gitkeep"})


def is_hcl(path: str) -> bool:
    """Whether the Terraform engine reads it (`*.tf.json` included, to refuse it)."""
    return path.endswith(HCL_ENDINGS)


def is_manifest(path: str) -> bool:
    """Whether the Kubernetes engines read it."""
    return path.endswith(MANIFEST_ENDINGS) and not is_hcl(path) and not path.startswith(".github/")


def unread(path: str) -> Iterator[Finding]:
    """The finding on a file that no engine reads."""
    name = posixpath.basename(path)
    if path.endswith(_FOR_PEOPLE) or name in _FOR_PEOPLE_NAMES:
        yield rule("reading/unjudged-text").finding(
            path, path, f"{path} is text for people; no engine reads it"
        )
    elif not _SWITCH_FILES.fullmatch(name):
        yield rule("reading/unjudged").finding(path, path, f"no engine reads {path}")


def switches(path: str, data: bytes) -> Iterator[Finding]:
    """Files and comments that would switch a scanner off. None has an effect here; each is said."""
    if _SWITCH_FILES.fullmatch(posixpath.basename(path)):
        yield rule("reading/scanner-switch").finding(path, path, f"{path} configures a scanner")
    if path.endswith(_FOR_PEOPLE):
        return
    for match in _SWITCH_TEXT.finditer(data):
        line = data.count(b"\n", 0, match.start()) + 1
        text = match.group().decode()
        yield rule("reading/scanner-switch").finding(
            path, f"{path}:{line}", f"{path}:{line} says {text}", line=line
        )
