"""Every tool and its effect, and which role may call which: read from `toolbelts.toml`, unknown means no."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pydantic import TypeAdapter, ValidationError

from tools.tool import Effect, Role, Tool

BELTS = Path(__file__).with_name("toolbelts.toml")
Belts = Mapping[Role, Mapping[str, tuple[str, ...]]]
_SHAPE = TypeAdapter(dict[Role, dict[str, tuple[str, ...]]])

_TARGET_READS = {
    "github": (
        "list_repository_files", "read_repository_file", "get_pull_request", "list_checks", "list_reviews",
        "get_workflow_run", "get_workflow_log",
    ),
    "kubernetes": (
        "list_resources", "list_namespaces", "get_resource", "list_events", "pod_logs", "pod_metrics",
        "rollout_status", "application_status",
    ),
}  # fmt: skip


def _reads(*names: str) -> dict[str, Effect]:
    return dict.fromkeys(names, Effect.READ)


EFFECTS: Mapping[str, Mapping[str, Effect]] = MappingProxyType({
    "internal": {
        **_reads(
            "search_knowledge", "find_resources", "list_blueprints", "query_outcomes", "render_blueprint",
            "preview_terraform", "validate_manifests", "check_policy",
        ),
        "record_outcome": Effect.ANNOTATE,
    },
    "gateway": {"propose_change": Effect.ANNOTATE, "open_run": Effect.ANNOTATE},
    "notary": {**_reads("judge", "judge_plan"), "sign": Effect.ANNOTATE},
    "github": _reads(*_TARGET_READS["github"]),
    "kubernetes": _reads(*_TARGET_READS["kubernetes"]),
    "gate": {
        **_reads("describe_target", "signoff_state", "await_review", "run_record", "pending", "show_change", "fetch_change"),
        **_reads(*_TARGET_READS["github"], *_TARGET_READS["kubernetes"]),
        "open_change": Effect.ANNOTATE,
        "deposit": Effect.ANNOTATE,
        "tell_outcome": Effect.ANNOTATE,
        "confirm": Effect.ANNOTATE,
        "cosign": Effect.ANNOTATE,
        "refuse": Effect.ANNOTATE,
        "drift": Effect.ANNOTATE,
        "submit": Effect.MUTATE,
    },
})  # fmt: skip
"""server -> tool -> effect. ANNOTATE leaves a record with us and changes no target; only `submit` can."""

_STRENGTH = list(Effect)


class CatalogFaultError(Exception):
    """toolbelts.toml or a mounted tool contradicts the catalog; the message names the entry."""


def load(path: Path = BELTS) -> Belts:
    """Parse the belts. Raises CatalogFaultError for an unknown role, server or tool, and for a file that is no TOML."""
    try:
        belts = _SHAPE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as fault:
        raise CatalogFaultError(f"{path.name} cannot be used: {fault}") from fault
    for role, servers in belts.items():
        for server, names in servers.items():
            known = EFFECTS.get(server, {})
            if unknown := [name for name in names if name not in known]:
                raise CatalogFaultError(
                    f"{path.name}: [{role}] {server} lists what the catalog does not know: {unknown}"
                )
    return MappingProxyType(belts)


@cache
def _belts() -> Belts:
    return load()


def granted(role: Role, server: str) -> frozenset[str]:
    """The tools of `server` that `role` may call; empty for whatever the file does not name."""
    return frozenset(_belts().get(role, {}).get(server, ()))


def effect(server: str, tool: str) -> Effect | None:
    """What a tool can do to the outside; None for one that the catalog does not know."""
    return EFFECTS.get(server, {}).get(tool)


def mounted(server: str, role: Role, tools: Iterable[Tool]) -> Mapping[str, Tool]:
    """The tools of a server that a role may call, by name.

    Raises CatalogFaultError when two tools share a name or one claims more effect than the catalog allows it.
    """
    belt = granted(role, server)
    chosen: dict[str, Tool] = {}
    for tool in tools:
        allowed = tool.effect if tool.roles else effect(server, tool.name)
        if allowed is None or (role not in tool.roles and (tool.roles or tool.name not in belt)):
            continue
        if tool.name in chosen:
            raise CatalogFaultError(f"server {server} mounts {tool.name} twice")
        if _STRENGTH.index(tool.effect) > _STRENGTH.index(allowed):
            raise CatalogFaultError(f"{server}.{tool.name} says {tool.effect}, the catalog says {allowed}")
        chosen[tool.name] = tool
    return MappingProxyType(chosen)
