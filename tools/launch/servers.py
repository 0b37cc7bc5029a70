"""`countersign servers`: other people's servers behind the gate, how they stand, and a person's pin of what they serve."""

from __future__ import annotations

import difflib
import getpass
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.change import digest_of
from policies.trust import instant
from tools.gate import opening
from tools.gate.servers.guarded import GuardedServer
from tools.gate.servers.pinning import Pins, Record, Records
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError
from tools.launch.wiring import server_settings
from tools.verbs import TargetError


def listed(state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Each configured server. Raises ConfigFaultError, AdapterFaultError, PinFaultError."""
    config = read_config(state_dir)
    records = _records(config)
    found = []
    for name, server in _servers(config).items():
        record = records.read(name)
        pins = record.pins(server.adapter.pins)
        found.append(
            {
                "name": name,
                "title": server.adapter.file.title,
                "pinned_by": record.pinned_by or f"adapter {server.adapter.file.title}",
                "tools": {tool: pins.digest(each) for tool, each in sorted(pins.definitions.items())},
                "quarantine": record.quarantine,
            }
        )
    lines = [
        f"{s['name']}  {s['title']}: {len(s['tools'])} tools pinned by {s['pinned_by']}"
        + (f"\n  SHUT OUT: {s['quarantine']}" if s["quarantine"] else "")
        for s in found
    ]
    return {"servers": found}, "\n".join(lines) or "no servers are configured: see docs/how-to.md"


def pin(name: str, *, yes: bool, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Show what the server serves now, ask, and pin it. Raises ConfigFaultError, AdapterFaultError, PinFaultError."""
    config = read_config(state_dir)
    server = _servers(config).get(name)
    if server is None:
        raise ConfigFaultError(f"no server {name!r} is configured: `countersign servers list` names them")
    records = _records(config)
    before = records.read(name).pins(server.adapter.pins)
    served = _served(server)
    lines = list(_shown(before.definitions, served))
    if not yes and not _agreed(name, lines):
        return {"name": name, "pinned": False, "changes": lines}, "nothing was pinned"
    record = Record(
        definitions=tuple(served), pinned_by=getpass.getuser(), pinned_at=instant(datetime.now(UTC))
    )
    records.write(name, record)
    digest = digest_of(record.canonical())
    text = "\n".join(
        [
            *lines,
            f"{name}: {len(served)} definitions are pinned, {digest[7:19]}; a running gate heeds it at once",
        ]
    )
    return {"name": name, "pinned": True, "changes": lines, "digest": digest}, text


def _servers(config: Config) -> Mapping[str, GuardedServer]:
    def unheard(_: str, __: str) -> None:
        """Here too nobody answers a server; there is no run to write it down in."""

    return opening.open_servers(server_settings(config), config.state_dir, lambda: datetime.now(UTC), unheard)


def _records(config: Config) -> Records:
    return Records(config.state_dir / opening.SERVERS)


def _served(server: GuardedServer) -> list[dict[str, Any]]:
    try:
        upstream = server.open()
        try:
            served = upstream.tools()
        finally:
            upstream.close()
    except TargetError as fault:
        raise ConfigFaultError(f"{fault}") from fault
    names = [each.get("name") for each in served]
    if len(set(map(str, names))) != len(names) or not all(isinstance(name, str) for name in names):
        raise ConfigFaultError(f"{server.name} lists a tool twice or without a name: that cannot be pinned")
    if undigested := [str(each["name"]) for each in served if not Pins({}, whole=True).digest(each)]:
        raise ConfigFaultError(
            f"{server.name} lists {undigested[0]!r} with a value that has no canonical form"
        )
    return served


def _shown(before: Mapping[str, Any], served: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A difference of the definitions, as a person reads it; every control character is escaped by JSON."""
    now = {str(each["name"]): each for each in served}
    for name in sorted(before.keys() | now.keys()):
        old, new = _text(before.get(name)), _text(now.get(name))
        yield from difflib.unified_diff(old, new, f"pinned {name!a}", f"served {name!a}", lineterm="")


def _text(definition: object) -> list[str]:
    return [] if definition is None else json.dumps(definition, indent=1, sort_keys=True).splitlines()


def _agreed(name: str, lines: Iterable[str]) -> bool:
    if not sys.stdin.isatty():
        raise ConfigFaultError("nobody is at a terminal to look: read `--json` first, then say --yes")
    sys.stderr.write("\n".join([*lines, f"Pin {name} as it is served now? Type its name: "]))
    sys.stderr.flush()
    return sys.stdin.readline().strip() == name
