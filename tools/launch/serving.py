"""`countersign serve NAME`: one MCP server by itself, read tools only, for any MCP client."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import anyio

from tools import environments
from tools import serve as mcp
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError
from tools.launch.rehearsal import Rehearsal, standing_of
from tools.launch.wiring import github_settings, kubernetes_settings
from tools.tool import Role, Tool

NAMES = ("github", "kubernetes", "internal")


def serve(name: str, http: int | None, state_dir: Path | None) -> int:
    """Serve until the client leaves. Raises ConfigFaultError for a name that is not served alone."""
    if name not in NAMES:
        raise ConfigFaultError(
            f"there is no server {name!r} to serve alone; there are {', '.join(NAMES)}. Gate and notary live inside a run."
        )
    config = read_config(state_dir)
    if name == "internal":
        python = environments.ensure("crew", lambda _: None).python
        words = [str(python), "-P", "-m", "tools.internal", "--profile", str(config.profile_path)]
        words += ["--http", str(http)] if http is not None else []
        words += ["--mirror", str(config.provider_mirror)] if config.provider_mirror else []
        os.execv(words[0], words)  # noqa: S606 - no shell, our own interpreter
    tools = _reads(name, config)
    if http is None:
        anyio.run(functools.partial(mcp.serve_stdio, tools, name="gate", role=Role.SRE))
    else:
        anyio.run(functools.partial(mcp.serve_http, tools, name="gate", role=Role.SRE, port=http))
    return 0


def _reads(name: str, config: Config) -> Sequence[Tool]:
    sandbox = _sandbox(config)
    if name == "github":
        from tools.github.target import open_target as open_repository  # noqa: PLC0415 - one vendor, when it is served

        return open_repository(github_settings(config, sandbox)).reads
    from tools.kubernetes.target import open_target as open_cluster  # noqa: PLC0415

    return open_cluster(kubernetes_settings(config, sandbox)).reads


def _sandbox(config: Config) -> Rehearsal | None:
    if not config.rehearsal:
        return None
    standing = standing_of(config)
    if standing is None:
        raise ConfigFaultError(
            "nothing is configured and the sandbox is not up: run `countersign sandbox up` or `countersign init` first"
        )
    return standing.rehearsal
