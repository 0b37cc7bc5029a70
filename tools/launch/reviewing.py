"""`countersign review PATH`: the notary's own engines over files of yours, nothing signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from policies import pins
from policies.apart import scan_apart
from policies.finding import Finding
from policies.profile import Profile
from policies.scan import ScanContext
from policies.scanner.client import ScannerProcess, scanner_command
from tools import environments
from tools.launch.commands import read_config
from tools.launch.config import SOURCE, ConfigFaultError

MOST_FILES = 5000
MOST_BYTES = 5 * 1024 * 1024
ENDINGS = (".tf", ".tfvars", ".hcl", ".tf.json", ".yaml", ".yml", ".json")
SKIPPED = frozenset({".git", ".terraform", "node_modules", ".venv"})


def review(path: Path, profile: str | None, say: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """Judge a file or a folder: `decision` is approve or reject. Raises ConfigFaultError for a path without files."""
    chosen = read_config(None, profile).profile
    tree = _read(path)
    python = environments.ensure("scanner", say).python
    with ScannerProcess(scanner_command(python)) as process:
        result = scan_apart(tree, frozenset(tree), context=_context(chosen), process=process)
    blocking = [f for f in result.findings if f.severity.rank >= chosen.blocking.rank]
    decision = "reject" if blocking else "approve"
    document = {
        "decision": decision,
        "profile": chosen.name,
        "findings": [_row(f, blocking=f in blocking) for f in result.findings],
        "engines": list(result.engines),
        "judged": list(result.judged),
    }
    lines = [_line(f) for f in result.findings]
    lines.append(
        f"{decision}: {len(result.findings)} findings, {len(blocking)} block under profile {chosen.name}; {len(tree)} files"
    )
    return document, "\n".join(lines)


def _context(profile: Profile) -> ScanContext:
    known = pins.load(SOURCE / "knowledge" / "pins.toml")
    return ScanContext(
        images=known.image_table(),
        action_pins=known.action_pins(),
        allowed_registries=frozenset(profile.scope.registries),
        allowed_providers=frozenset(profile.scope.providers),
        pod_security_level=profile.pod_security,
        rehearsal=profile.rehearsal_pins,
        allow_automated_sync=profile.automated_sync,
    )


def _read(path: Path) -> Mapping[str, bytes]:
    if path.is_file():
        return {path.name: _bytes(path)}
    if not path.is_dir():
        raise ConfigFaultError(f"{path} is neither a file nor a folder")
    found = [
        p
        for p in sorted(path.rglob("*"))
        if p.is_file()
        and not p.is_symlink()
        and p.name.endswith(ENDINGS)
        and not SKIPPED & set(p.relative_to(path).parts)
    ]
    if not found:
        raise ConfigFaultError(f"{path} holds no Terraform, YAML or JSON files to judge")
    if len(found) > MOST_FILES:
        raise ConfigFaultError(
            f"{path} holds {len(found)} files, more than {MOST_FILES}: review a folder further down"
        )
    return {str(p.relative_to(path)): _bytes(p) for p in found}


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ConfigFaultError(
            f"{path} is larger than {MOST_BYTES} bytes: it is no configuration that a person wrote"
        )
    return path.read_bytes()


def _row(finding: Finding, *, blocking: bool) -> dict[str, Any]:
    return finding.model_dump(mode="json") | {"blocking": blocking}


def _line(finding: Finding) -> str:
    where = f"{finding.path}:{finding.line}" if finding.line else finding.path
    return f"{finding.severity.upper():8} {where} {finding.resource}  {finding.rule}\n         {finding.message}\n         {finding.remedy}"
