"""What every tool of the gate works with: one run, its journal and bytes, the live targets, the decision point."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from policies import trust
from policies.change import ChangeSet, Digest, canonical, digest_of
from policies.gate import Evidence, Gate, Issued
from policies.profile import Profile
from tools.gate.books import Books
from tools.gate.content import ContentStore
from tools.gate.journal import Journal, JournalFaultError
from tools.gate.ledger import Deposited, Ledger, Opened
from tools.gate.limits import Meter
from tools.gate.servers.guarded import GuardedServer
from tools.gate.shelf import Shelf
from tools.gate.stop import Switch
from tools.gate.targets import Targets
from tools.tool import Role, ToolRefusedError

DENIALS_KEPT = 1000
"""Denials recorded per process; a flood of them must not fill the disk. What is over is denied all the same."""
LOCK_PATIENCE = 30.0


@dataclass(frozen=True)
class Room:
    """One run's gate. `request` is the bundle in which a person asked for it; `sleep` and `clock` are the world's time."""

    run_id: str
    profile: Profile
    rehearsal: bool
    isolation: str
    ask_person: bool
    dry_run: bool
    state_dir: Path
    journal: Journal
    content: ContentStore
    targets: Targets
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    servers: Mapping[str, GuardedServer] = field(default_factory=dict)
    request: str | None = None
    books: Books = field(init=False)
    switch: Switch = field(init=False)
    meter: Meter = field(init=False)
    shelf: Shelf = field(init=False)
    _denied: list[None] = field(default_factory=list)

    def __post_init__(self) -> None:
        books = Books(self.journal)
        own = {
            "books": books,
            "switch": Switch(books, self.run_id),
            "meter": Meter(self.profile.limits, self.clock),
            "shelf": Shelf(self.content),
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)  # what follows from the other fields of a frozen value

    def with_targets(self, targets: Targets) -> Room:
        """The same room, books and meter with other ways to its targets."""
        other = replace(self, targets=targets)
        for name in ("books", "switch", "meter", "shelf"):
            object.__setattr__(other, name, getattr(self, name))
        return other

    def ledger(self, run_id: str | None = None) -> Ledger:
        """What the journal says of this run, or of another. Raises JournalFaultError."""
        return self.books.of(run_id or self.run_id)

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Write one entry of this run. Raises JournalFaultError."""
        self.journal.append(self.run_id, kind, body)

    def gate(self) -> Gate:
        """The decision point with the trust file as it is now, so that a revocation counts at once. Raises TrustFaultError."""
        trusted = trust.load(self.state_dir / "trust.json")
        return Gate(trusted, self.profile, self.rehearsal, self.ask_person, self.request)

    def evidence(self, kept: Deposited, cosigned: Iterable[Digest] = ()) -> Evidence:
        """The stored bytes of a sign-off and of other signers' bundles, checked by digest. Raises JournalFaultError."""
        return self.shelf.evidence(kept, tuple(cosigned))

    def change(self, kept: Deposited) -> ChangeSet:
        """The stored manifest. Raises JournalFaultError."""
        return self.shelf.change(kept)

    def deny(self, role: Role, tool: str, arguments: Mapping[str, Any], refusal: ToolRefusedError) -> None:
        """Write down a refused call; when even that is impossible, say so on stderr."""
        if len(self._denied) >= DENIALS_KEPT:
            return
        self._denied.append(None)
        signoff = arguments.get("signoff")
        told = {"role": str(role), "tool": tool[:100], "name": refusal.name, "message": refusal.message[:500]}
        clean = {key: text.encode("utf-8", "replace").decode() for key, text in told.items()}
        try:
            self.append("denied", clean | {"signoff": signoff if _is_digest(signoff) else ""})
        except JournalFaultError as fault:
            sys.stderr.write(f"gate: a denial could not be recorded: {fault}\n")

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold the lock of one target, across processes. Raises ToolRefusedError naming the run that has it, StoppedError."""
        folder = self.state_dir / "locks"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / digest_of(what.encode()).removeprefix("sha256:")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait_for(handle, what)
            os.pwrite(handle, f"{self.run_id:100}".encode(), 0)
            yield
        finally:
            os.close(handle)  # the kernel gives the lock back, also when this process is killed

    def _wait_for(self, handle: int, what: str) -> None:
        waited = 0.0
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waited >= LOCK_PATIENCE:
                    holder = os.pread(handle, 100, 0).decode("ascii", "replace").strip() or "another run"
                    message = f"run {holder} has been at {what} for {waited:.0f} seconds."
                    raise ToolRefusedError(
                        "target-busy", message, "Wait until it ended, then submit again."
                    ) from None
                self.switch.check()
                self.sleep(0.05)
                waited += 0.05
            else:
                return


def issued_words(opened: Opened) -> Issued:
    """An opened change as the decision point wants it."""
    return Issued(opened.change_id, opened.run_id, opened.phase.value, opened.profile, opened.goal_digest)


def fingerprint(value: object) -> Digest:
    """The digest of a JSON value."""
    return digest_of(canonical(value))


def _is_digest(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) == 71
        and value.startswith("sha256:")
        and value[7:].isalnum()
        and value.isascii()
    )
