"""`python -m tools.gate --settings-fd N`: verify, journal, submit; the only process that holds a target's credentials.

Everything is imported before the settings arrive, so before any intent: a fault of importing has no effect.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial

gc.disable()  # nothing that imports make is garbage; frozen below

import anyio  # noqa: E402

from policies import profile  # noqa: E402
from policies.profile import ProfileFaultError  # noqa: E402
from policies.trust import TrustFaultError  # noqa: E402
from policies.trust import load as load_trust  # noqa: E402
from tools import confine, settings  # noqa: E402
from tools.catalog import CatalogFaultError  # noqa: E402
from tools.gate.books import Books  # noqa: E402
from tools.gate.checkpoints import Pen  # noqa: E402
from tools.gate.content import ContentStore  # noqa: E402
from tools.gate.journal import Journal, JournalFaultError  # noqa: E402
from tools.gate.opening import open_servers, open_targets, performing  # noqa: E402
from tools.gate.room import Room  # noqa: E402
from tools.gate.server import NotaryLine, serve_roles  # noqa: E402
from tools.gate.servers.adapter import AdapterFaultError  # noqa: E402
from tools.gate.stop import Switch  # noqa: E402
from tools.notary.keys import KeyFaultError  # noqa: E402
from tools.settings import GateSettings  # noqa: E402
from tools.tool import Role  # noqa: E402
from tools.verbs import TargetError  # noqa: E402
from traces.setup import setup  # noqa: E402

gc.freeze()
gc.enable()


FAULTS = (
    JournalFaultError, KeyFaultError, TrustFaultError, ProfileFaultError, CatalogFaultError, TargetError, AdapterFaultError,
)  # fmt: skip


def room_of(told: GateSettings) -> Room:
    """The gate of one run, from its settings. Raises a fault that says what to mend."""
    load_trust(told.state_dir / "trust.json")
    journal = Journal(told.state_dir, lambda: datetime.now(UTC), Pen.of(told.state_dir))
    stop = Switch(Books(journal), told.run_id)
    servers = open_servers(
        told.servers, told.state_dir, lambda: datetime.now(UTC), partial(_asked, journal, told.run_id)
    )
    return Room(
        run_id=told.run_id,
        profile=profile.load(told.profile),
        rehearsal=told.rehearsal,
        isolation=told.isolation,
        ask_person=told.ask_person,
        dry_run=told.dry_run,
        state_dir=told.state_dir,
        journal=journal,
        content=ContentStore(told.state_dir / "content"),
        targets=performing(open_targets(told, stop.check), servers, told.servers, stop.check),
        clock=lambda: datetime.now(UTC),
        sleep=time.sleep,
        servers=servers,
        request=told.request,
    )


def _asked(journal: Journal, run_id: str, server: str, method: str) -> None:
    """Write down that a server asked for a model, a person or a folder, and was refused."""
    told = {"role": f"server {server}", "tool": method, "name": "server-asked", "message": "", "signoff": ""}
    try:
        journal.append(run_id, "denied", told)
    except JournalFaultError as fault:
        sys.stderr.write(f"gate: a server's request could not be recorded: {fault}\n")


async def _serve(room: Room, notary: NotaryLine, roles: dict[Role, int]) -> None:
    """Serve until every pipe is closed or the launcher asks to leave."""
    async with anyio.create_task_group() as group:
        group.start_soon(_leave_on_signal, group.cancel_scope)
        await serve_roles(room, notary.judge, roles)
        group.cancel_scope.cancel()


async def _leave_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def main() -> int:
    """0 when the run ended, 1 with one sentence on stderr when the gate could not open."""
    confine.die_with_parent()
    confine.not_dumpable()
    confine.no_new_privs()
    told = settings.read(GateSettings)
    close = setup(
        "gate",
        traceparent=told.trace.traceparent,
        file=told.trace.file,
        otlp_endpoint=told.trace.otlp_endpoint,
    )
    try:
        room = room_of(told)
        roles = {Role(name): fd for name, fd in told.roles.items()}
        anyio.run(partial(_serve, room, NotaryLine(told.notary_fd), roles))
        room.journal.checkpoint()
    except FAULTS as fault:
        sys.stderr.write(f"gate: {fault}\n")
        return 1
    finally:
        close()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a call that is still under way in a thread is resolved by reading at the next start
