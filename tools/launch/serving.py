"""`countersign serve NAME` and `countersign bearer`: MCP servers for any MCP client, and who may speak to them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from tools import environments
from tools import serve as mcp
from tools.gateway import bearers
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError
from tools.launch.rehearsal import Rehearsal, standing_of
from tools.launch.wiring import github_settings, kubernetes_settings
from tools.tool import Role, Tool

NAMES = ("gate", "github", "kubernetes", "internal")


def serve(
    name: str,
    http: int | None,
    profile: str | None,
    state_dir: Path | None,
    *,
    role: str,
    separate_user: bool,
    say: Callable[[str], None],
) -> int:
    """Serve until the client leaves. Raises ConfigFaultError for a name that is not served alone."""
    if name not in NAMES:
        raise ConfigFaultError(
            f"there is no server {name!r} to serve alone; there are {', '.join(NAMES)}. The notary stands behind the gate."
        )
    config = read_config(state_dir, profile)
    if name == "gate":
        from tools.launch import gateway  # noqa: PLC0415 - an HTTP server is imported only to serve one

        if http is None:
            return gateway.serve_stdio(config, _role(role), os.environ, say)
        return gateway.serve_http(config, http, os.environ, say, separate_user=separate_user)
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


def bearer_make(
    role: str, name: str | None, file: Path | None, state_dir: Path | None
) -> tuple[dict[str, Any], str]:
    """A new bearer. Its token is in the answer, unless a file has it. Raises ConfigFaultError, BearerFaultError."""
    chosen, folder = _role(role), folders.private(read_config(state_dir).state_dir)
    there = file is not None and file.exists()
    token = bearers.make(
        folder, chosen, name or role, datetime.now(UTC), bearers.read_token(file) if file and there else None
    )
    told = {"name": name or role, "role": role}
    if file is None:
        return told | {"token": token}, token
    if not there:
        bearers.write_token(file, token)
    return told | {"file": str(file)}, f"bearer {name or role} of role {role}; its token is in {file}"


def bearer_list(state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Every bearer, without its digest."""
    known = bearers.load(read_config(state_dir).state_dir).bearers
    lines = [f"{each.name}  {each.role}  since {each.made}" for each in known]
    document = {"bearers": [each.model_dump(mode="json", exclude={"digest"}) for each in known]}
    return document, "\n".join(lines) or "no bearer yet: `countersign bearer make ROLE`"


def bearer_revoke(name: str, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Raises BearerFaultError when there is none of that name."""
    bearers.revoke(read_config(state_dir).state_dir, name)
    return {"revoked": name}, f"bearer {name} is forgotten"


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise ConfigFaultError(f"there is no role {name!r}; roles are: {', '.join(Role)}") from None


def _sandbox(config: Config) -> Rehearsal | None:
    if not config.rehearsal:
        return None
    standing = standing_of(config)
    if standing is None:
        raise ConfigFaultError(
            "nothing is configured and the sandbox is not up: run `countersign sandbox up` or `countersign init` first"
        )
    return standing.rehearsal
