"""A package.json of ours, installed from its lock into a folder of the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def install(source: Path, folder: Path) -> Path:
    """`node_modules` of what `source` locks, every file checked by its hash; skips where there is no npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True, timeout=300)
    return folder / "node_modules"


def kubernetes_mcp_server(modules: Path) -> Path:
    """The program itself, not npm's wrapper: what is started is what dies with the gate."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    package = modules / f"kubernetes-mcp-server-linux-{machine}"
    return package / "bin" / f"kubernetes-mcp-server-linux-{machine}"
