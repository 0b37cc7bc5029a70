"""From settings to a notary that serves: keys, profile, pins, scanner and pipes, each fault in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio

from policies import pins, profile, trust
from policies.apart import scan_apart
from policies.scan import ScanContext, ScanResult
from policies.scanner.client import ScannerProcess
from policies.trust import Trust
from tools.notary.gate_line import PipeToGate
from tools.notary.judging import Bench
from tools.notary.keys import TRUST_FILE, key_path, load_signer
from tools.notary.registry import Registry
from tools.notary.room import Room
from tools.serve import serve
from tools.settings import NotarySettings
from tools.tool import Role

WAIVERS = "waivers"
WAIVER_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Apart:
    """The scan in the notary's own child."""

    process: ScannerProcess

    def __call__(
        self,
        tree: Mapping[str, bytes],
        changed: AbstractSet[str],
        *,
        context: ScanContext,
        base: Mapping[str, bytes] | None = None,
    ) -> ScanResult:
        """Raises ScannerFaultError."""
        return scan_apart(tree, changed, context=context, process=self.process, base=base)


def room_of(told: NotarySettings, process: ScannerProcess, clock: Callable[[], datetime]) -> Room:
    """The notary of one run. Raises KeyFaultError, TrustFaultError, ProfileFaultError or PinsFaultError."""
    signer = load_signer(key_path(told.state_dir, told.rehearsal))
    active = profile.load(told.profile)
    trusted: Callable[[], Trust] = partial(trust.load, told.state_dir / TRUST_FILE)
    trusted()
    bench = Bench(
        profile=active,
        pins=pins.load(told.pins),
        scan=Apart(process),
        trust=trusted,
        waivers=partial(read_waivers, told.state_dir / WAIVERS),
        clock=clock,
        request=told.request,
    )
    return Room(
        bench=bench,
        signer=signer,
        registry=Registry(told.state_dir / "notary" / "signed"),
        gate=PipeToGate(told.gate_fd),
        trust=trusted,
        clock=clock,
        rehearsal=told.rehearsal,
        isolation=told.isolation,
    )


def read_waivers(folder: Path) -> tuple[tuple[str, str], ...]:
    """File name and text of each `*.json` in the folder; none when there is no folder. A text is cut at WAIVER_LIMIT, and so refused."""
    if not folder.is_dir():
        return ()
    found = []
    for path in sorted(folder.glob("*.json")):
        with path.open("rb") as file:
            found.append((path.name, file.read(WAIVER_LIMIT).decode("utf-8", "replace")))
    return tuple(found)


async def serve_room(room: Room, told: NotarySettings) -> None:
    """Serve Security and the gate until both are gone."""
    async with anyio.create_task_group() as group:
        group.start_soon(
            partial(serve, room.for_security(), told.security_fd, name="notary", role=Role.SECURITY)
        )
        group.start_soon(partial(serve, room.for_gate(), told.plan_fd, name="notary", role=Role.GATE))
