"""A verb of ours that another's server performs: we look before and after, it gets the signed words and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tools.gate.servers import filling
from tools.gate.servers.adapter import Does
from tools.gate.servers.guarded import GuardedServer
from tools.gate.servers.pinning import PinFaultError
from tools.gate.stop import StoppedError
from tools.gate.targets import Targets
from tools.tool import ToolRefusedError
from tools.verbs import Call, ForbiddenError, Receipt, TargetError, UnreachableError, Verb, Way


@dataclass(frozen=True)
class PerformedBy:
    """Implements `tools.verbs.Verb`."""

    way: Way
    does: Does
    server: GuardedServer
    before_write: Callable[[], None]

    def find(self, call: Call) -> Receipt | None:
        """By our own client: a server does not vouch for itself. Raises TargetError."""
        return self.way.find(call)

    def perform(self, call: Call) -> None:
        """Raises TargetError, which covers a server that is shut out: nothing was called then."""
        arguments = filling.sent(self.does, self.way, call)
        try:
            self._look(call)
            self.way.ready(call)
            self.before_write()
            self.server.call(self.does.tool.partition(".")[0], arguments)
        except StoppedError:
            raise
        except (ToolRefusedError, PinFaultError) as fault:
            raise ForbiddenError(str(fault)) from fault
        self.way.settle(call)

    def _look(self, call: Call) -> None:
        """Before the call a silent server is no doubt about an effect: nothing was asked of it."""
        same = self.server.adapter.file.same
        if same is None:
            raise ForbiddenError(f"the adapter of {self.server.name} does not say which target it speaks to")
        arguments, held = filling.same(same, call)
        try:
            self.server.look()
            found = self.server.call(same.tool, arguments)
        except UnreachableError as fault:
            raise TargetError(f"{fault}; nothing was called") from fault
        if held not in found:
            raise ForbiddenError(
                f"server {self.server.name} speaks to another target than the signed one: correct its argv and credentials"
            )


def ways_of(targets: Targets, server: GuardedServer) -> Mapping[str, Way]:
    """The verbs of the configured targets that this server might perform."""
    found: dict[str, Way] = {}
    if targets.repository is not None:
        found |= targets.repository.ways()
    if targets.cluster is not None and server.adapter.file.manager:
        found |= targets.cluster.ways(server.adapter.file.manager)
    return found


def verbs_of(targets: Targets, server: GuardedServer, before_write: Callable[[], None]) -> Mapping[str, Verb]:
    """Those that its adapter maps a tool to. `before_write` is called before each, and may raise."""
    return {does.verb: PerformedBy(way, does, server, before_write) for does, way in pairs(targets, server)}


def pairs(targets: Targets, server: GuardedServer) -> Iterator[tuple[Does, Way]]:
    """Each mapped tool with the way of its verb, where its target is configured."""
    ways = ways_of(targets, server)
    yield from ((does, ways[does.verb]) for does in server.adapter.file.does if does.verb in ways)
