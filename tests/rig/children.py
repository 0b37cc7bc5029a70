"""The rig's processes: started with a log each, asked until they answer, ended by their own pid.

Linux only: a process is known by its pid and its start time together, and held by a pidfd while it is ended, so that
a later process with a reused pid is never touched.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self

NOTHING: Mapping[str, str] = MappingProxyType({})
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class NotReadyError(Exception):
    """A server ended, or did not answer in time; the message carries the end of its log."""


@dataclass(frozen=True)
class Child:
    """One started process. `started` is in clock ticks since boot (field 22 of /proc/PID/stat)."""

    name: str
    pid: int
    started: int
    log: Path

    def is_alive(self) -> bool:
        """Whether this very process runs (not one that got its pid later, not a zombie)."""
        state, started = _stat(self.pid)
        return started == self.started and state != "Z"

    def tail(self, lines: int = 12) -> str:
        """The end of what it said."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Start(Protocol):
    """How the rest of the rig starts a program: name, command line, environment."""

    def __call__(
        self, name: str, arguments: Sequence[str | Path], environment: Mapping[str, str] = NOTHING
    ) -> Child: ...


def start(
    name: str, arguments: Sequence[str | Path], *, logs: Path, environment: Mapping[str, str], bound: bool
) -> Child:
    """Start a program with its output in `logs/NAME.log`.

    Bound, it dies with the *thread* that called this (that is how Linux counts parents): call it from the main one.
    Unbound, it leads a session of its own and outlives us.
    """
    log = logs / f"{name}.log"
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between fork and prctl: nobody would send the signal
            os.kill(os.getpid(), signal.SIGKILL)

    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=logs.parent,
            start_new_session=not bound,
            preexec_fn=die_with_parent if bound else None,  # noqa: PLW1509 - it only makes two system calls
        )
    # Popen's own end-of-life warning is about children that somebody forgot. These are recorded by pid.
    process.returncode = 0
    return Child(name, process.pid, _stat(process.pid)[1], log)


def stop(children: Sequence[Child]) -> None:
    """End these processes, the last started first, and reap those that are ours."""
    for child in reversed(children):
        try:
            held = os.pidfd_open(child.pid)
        except ProcessLookupError:
            continue
        try:
            if _stat(child.pid)[1] != child.started:
                continue
            # Nothing that they keep outlives the rig, so none needs time for a farewell.
            signal.pidfd_send_signal(held, signal.SIGKILL)
            ended = select.poll()
            ended.register(held, select.POLLIN)
            ended.poll(10_000)
        finally:
            os.close(held)
        try:
            os.waitpid(child.pid, 0)
        except ChildProcessError:
            continue  # started by another process, which `up` leaves behind


def wait_for(child: Child, question: Callable[[], bool], *, seconds: float) -> None:
    """Ask until the answer is yes; NotReadyError when the process ended or the time is over."""
    deadline = time.monotonic() + seconds
    while not question():
        if not child.is_alive():
            raise NotReadyError(f"{child.name} ended; its log ends:\n{child.tail()}")
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"{child.name} did not answer within {seconds:.0f} s; its log ends:\n{child.tail()}"
            )
        time.sleep(0.05)


class Ports:
    """Free ports on loopback, kept free for the programs that will listen there.

    Bound but not listening, with SO_REUSEADDR: the kernel gives such a port to nobody who asks for any, and lets
    one who names it listen, as Go's and Java's servers do.
    """

    def __enter__(self) -> Self:
        self._kept = ExitStack()
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def take(self) -> int:
        """One port that nobody else got."""
        kept = self._kept.enter_context(socket.socket())
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port: int = kept.getsockname()[1]
        return port


def _stat(pid: int) -> tuple[str, int]:
    """State letter and start time of a process; ("", -1) if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", -1
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return fields[0], int(fields[19])
