"""Another's tools as one role sees them at the gate: `SERVER__TOOL`, described by us and by what was pinned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import ConfigDict, JsonValue

from policies.change import Word
from tools.gate.plan import PlanOfRecord
from tools.gate.room import Room
from tools.gate.servers import arguments as checking
from tools.gate.servers import matching
from tools.gate.servers.adapter import Does, Reads
from tools.gate.servers.guarded import GuardedServer
from tools.gate.servers.performing import pairs
from tools.gate.servers.pinning import PinFaultError
from tools.gate.submit import Submission
from tools.gate.words import GrantState, Submit
from tools.tool import Effect, Role, Tool, ToolRefusedError

ROLES = frozenset({Role.PLANNER, Role.DEVOPS, Role.SECURITY, Role.SRE})
MAY_SUBMIT = Role.DEVOPS


class Raw(Word):
    """Arguments as they came; they are checked by the pinned schema, not by this word."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def given(self) -> dict[str, JsonValue]:
        """The arguments."""
        return dict(self.__pydantic_extra__ or {})


class Answered(Word):
    """What a read answered, as text of a stranger; or the grants that a call spent, read back by the gate."""

    text: str = ""
    grants: tuple[GrantState, ...] = ()


def tools_of(room: Room, judge: Callable[[Any], Any], server: GuardedServer, role: Role) -> list[Tool]:
    """Every tool of the pinned definitions: those that the role may call are listed, the others say why not."""
    return [_tool(room, judge, server, role, tool) for tool in server.adapter.pins.definitions]


def _tool(room: Room, judge: Callable[[Any], Any], server: GuardedServer, role: Role, tool: str) -> Tool:
    adapter = server.adapter
    rules = [adapter.rules[key] for key in adapter.keys_of(tool)]
    reads = any(isinstance(rule, Reads) and role in rule.roles for rule in rules)
    does = [rule for rule in rules if isinstance(rule, Does)]
    definition = adapter.pins.definitions[tool]
    said = str(definition.get("description") or f"{tool} of {adapter.file.title}.")
    if does:
        said = f"Does {does[0].verb}, only with exactly what a live sign-off grants. {said}"
    return Tool(
        name=f"{server.name}__{tool}",
        description=said,
        arguments=Raw,
        result=Answered,
        call=partial(_called, room, judge, server, role, tool),
        effect=Effect.MUTATE if does else Effect.READ,
        roles=ROLES,
        schema=adapter.pins.schema(tool) or {"type": "object"},
        listed=reads or (bool(does) and role is MAY_SUBMIT),
    )


def _called(
    room: Room, judge: Callable[[Any], Any], server: GuardedServer, role: Role, tool: str, asked: Raw
) -> Answered:
    given = asked.given()
    key = server.adapter.key(tool, given)
    rule = server.adapter.rules.get(key)
    if rule is None:
        raise ToolRefusedError(
            "not-mapped", f"{key[:100]} of {server.name} is mapped to nothing that is allowed here."
        )
    if isinstance(rule, str):
        raise ToolRefusedError("not-allowed", f"{key} of {server.name} is never called: {rule}.")
    if role not in (rule.roles if isinstance(rule, Reads) else {MAY_SUBMIT}):
        raise ToolRefusedError("tool-not-granted", f"{role} may not call {key} of {server.name}.")
    try:
        if isinstance(rule, Reads):
            return _read(room, server, rule, tool, given)
        return Answered(grants=tuple(_done(room, judge, server, rule, given)))
    except PinFaultError as fault:
        raise ToolRefusedError("server-quarantined", f"{fault}.") from fault


def _read(room: Room, server: GuardedServer, rule: Reads, tool: str, given: dict[str, Any]) -> Answered:
    checking.check(tool, server.adapter.pins.schema(tool), given)
    checking.limited(tool, rule, server.adapter.file.arguments, given, _here(room, server))
    return Answered(text=server.call(tool, given))


def _here(room: Room, server: GuardedServer) -> dict[str, str]:
    """The configured repository; asked from our own target, and only where the adapter binds to it."""
    bound = any(limit.bound for limit in server.adapter.file.arguments.values())
    if not bound or room.targets.repository is None:
        return {}
    owner, _, repo = room.targets.repository.full_name.partition("/")
    return {"owner": owner, "repo": repo}


def _done(
    room: Room, judge: Callable[[Any], Any], server: GuardedServer, does: Does, given: dict[str, Any]
) -> Iterator[GrantState]:
    """Each granted document, by the one road that every mutating call takes."""
    way = next((way for each, way in pairs(room.targets, server) if each == does), None)
    if way is None:
        message = f"this gate has no target of its own for {does.verb}, so nobody could read back what {server.name} did."
        raise ToolRefusedError("no-such-verb", message, "Configure [github] or [kubernetes].")
    found = matching.grants(room, does, way, given)
    server.look()  # a server that is shut out is so by its own name, before anything is on record
    through = replace(room.targets, through={**room.targets.through, does.verb: server.name})
    submission = Submission(room.with_targets(through), PlanOfRecord(room, judge))
    for signoff, seq in found:
        yield submission.submit(Submit(signoff=signoff, seq=seq))
