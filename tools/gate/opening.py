"""The gate's settings -> its live targets and the servers behind it. The one place that knows both vendors' doors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from tools.gate.servers import adapter
from tools.gate.servers.guarded import GuardedServer
from tools.gate.servers.performing import verbs_of
from tools.gate.servers.pinning import Records
from tools.gate.servers.starting import starter
from tools.gate.servers.upstream import Upstream
from tools.gate.targets import Targets
from tools.github.target import open_target as open_repository
from tools.kubernetes.target import open_target as open_cluster
from tools.settings import GateSettings, ServerSettings

SERVERS = "servers"
"""The folder, in the gate's own, of what is known of other people's servers."""


def open_targets(told: GateSettings, before_write: Callable[[], None]) -> Targets:
    """Targets for what the settings name; nothing is called before it is asked. Raises TargetError.

    `before_write` is called before each request that would change one, and may raise.
    """
    return Targets(
        repository=open_repository(told.github, before_write) if told.github else None,
        cluster=open_cluster(told.kubernetes, before_write) if told.kubernetes else None,
    )


def open_servers(
    told: Mapping[str, ServerSettings],
    state_dir: Path,
    clock: Callable[[], datetime],
    on_asked: Callable[[str, str], None],
) -> Mapping[str, GuardedServer]:
    """Other people's servers; each is started by its first call. Raises AdapterFaultError.

    `on_asked` is told server and method of each request that one made and that was refused.
    """
    folder = state_dir / SERVERS
    return {
        name: open_server(name, one, folder, clock, partial(on_asked, name)) for name, one in told.items()
    }


def open_server(
    name: str,
    told: ServerSettings,
    folder: Path,
    clock: Callable[[], datetime],
    on_asked: Callable[[str], None],
) -> GuardedServer:
    """One of them, with its record and its own folder below `folder`. Raises AdapterFaultError."""
    start = starter(told, folder / f"{name}.home")
    opened = partial(Upstream, name, start, on_asked)
    return GuardedServer(name, adapter.load(told.adapter), Records(folder), opened, clock)


def performing(
    targets: Targets,
    servers: Mapping[str, GuardedServer],
    told: Mapping[str, ServerSettings],
    before_write: Callable[[], None],
) -> Targets:
    """The targets, with what the servers can perform and what the configuration lets them perform for `submit`."""
    others = {name: verbs_of(targets, server, before_write) for name, server in servers.items()}
    through = {verb: name for name, one in told.items() for verb in one.performs}
    for verb, name in through.items():
        if verb not in others[name]:
            raise adapter.AdapterFaultError(
                f"server {name} cannot perform {verb}: its adapter maps no tool to it"
            )
    return replace(targets, others=others, through=through)
