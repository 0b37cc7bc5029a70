"""`countersign init`: which targets, checked through the gate, written to `countersign.toml` without a secret."""

from __future__ import annotations

import getpass
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from tools.gate.words import TargetDescription
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import FILE, Config, ConfigFaultError
from tools.launch.person_line import person_line
from tools.launch.processes import House
from tools.notary.keys import ensure_keys, make_key
from tools.tool import Nothing


def init(
    *,
    repository: str | None,
    api_url: str,
    kubeconfig: Path | None,
    context: str | None,
    profile: str,
    model: str,
    state_dir: Path | None,
) -> tuple[dict[str, Any], str]:
    """Ask for what is missing at a terminal, check access, write the file. Raises ConfigFaultError.

    An existing file is left alone; a target that the gate cannot reach leaves no file behind.
    """
    path = Path.cwd() / FILE
    if path.exists():
        raise ConfigFaultError(f"{path} exists: edit it, or move it away and run `countersign init` again")
    chosen = repository or _asked("GitHub repository (OWNER/NAME)", None)
    cluster = kubeconfig or Path(_asked("kubeconfig", str(Path.home() / ".kube" / "config")))
    path.write_text(
        _text(chosen, api_url, cluster.expanduser().absolute(), context, profile, model), encoding="utf-8"
    )
    try:
        config = read_config(state_dir)
        ensure_keys(folders.private(config.state_dir), config.rehearsal)
        make_key(config.state_dir, "person", rehearsal=config.rehearsal, owner=getpass.getuser())
        _keep_token(config)
        seen = describe(config)
    except BaseException:
        path.unlink()
        raise
    document = {"written": True, "path": str(path), "target": seen.model_dump(mode="json")}
    where = seen.destination
    lines = [f"wrote {path}"]
    if where.repository is not None:
        lines.append(
            f"repository {where.repository.full_name} at {where.repository.base_branch} {where.repository.base_commit[:12]}"
        )
    if where.cluster is not None:
        lines.append(f"cluster {where.cluster.server}, Kubernetes {seen.kubernetes_version}")
    return document, "\n".join(lines)


def describe(config: Config) -> TargetDescription:
    """What a gate of its own resolves from the live targets; nothing is opened or changed.

    Raises SessionFaultError, ToolRefusedError with what the target said.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        House(Path(folder), os.environ) as house,
        person_line(house, config, "init", request=None, sandbox=None) as sessions,
    ):
        return sessions.call("gate", "describe_target", Nothing(), TargetDescription)


def _keep_token(config: Config) -> None:
    """Ask for the token once and keep it where only the gate looks."""
    path = config.file.github.token_file or config.state_dir / "credentials" / "github.token"
    if config.file.github.kind != "github" or path.exists():
        return
    token = _asked(f"GitHub token (kept in {path}, mode 0600)", None, hidden=True)
    folders.private(path.parent)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(token.strip() + "\n")


def _asked(what: str, default: str | None, *, hidden: bool = False) -> str:
    if not sys.stdin.isatty():
        raise ConfigFaultError(
            f"nobody is at a terminal to say: {what}; give it as an option or put the file in place"
        )
    prompt: Callable[..., Any] = typer.prompt
    return str(prompt(what, default=default, hide_input=hidden, err=True))


def _text(
    repository: str, api_url: str, kubeconfig: Path, context: str | None, profile: str, model: str
) -> str:
    quoted = json.dumps  # a TOML basic string is a JSON string
    lines = [
        f"profile = {quoted(profile)}",
        "",
        "[github]",
        'kind = "github"',
        f"api_url = {quoted(api_url)}",
        f"repository = {quoted(repository)}",
        "",
        "[kubernetes]",
        'kind = "kubeconfig"',
        f"kubeconfig = {quoted(str(kubeconfig))}",
        *([f"context = {quoted(context)}"] if context else []),
        "",
        "[model]",
        f"model = {quoted(model)}",
    ]
    return "\n".join(lines) + "\n"
