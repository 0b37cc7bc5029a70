"""Starting and ending the processes of a run: pipes between them, settings through a descriptor, nothing else inherited."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from policies.change import Word
from tools import confine

PATIENCE = 5.0
KEPT = (*confine.KEPT, "TMPDIR")


@dataclass
class Child:
    """A started process that waits for its settings."""

    name: str
    process: subprocess.Popen[bytes]
    settings_fd: int
    log: Path

    def tell(self, settings: Word) -> None:
        """Hand over the settings; the process begins its work. A dead child is left to `tail` to explain."""
        data = settings.model_dump_json().encode()
        try:
            with os.fdopen(self.settings_fd, "wb") as pipe:
                pipe.write(data)
        except BrokenPipeError:
            pass  # the child is gone; whoever waits for it sees its exit code and log
        self.settings_fd = -1

    def tail(self, lines: int = 5) -> str:
        """The last words of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


@dataclass
class House:
    """Every process of a run; leaving it asks them all to leave, then ends each, the last started first."""

    log_dir: Path
    environ: Mapping[str, str]
    children: list[Child] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        pipes: Sequence[int],
        *,
        extra: Mapping[str, str] | None = None,
    ) -> Child:
        """Start `command` with a scrubbed environment and only `pipes` inherited, which are closed on our side.

        The child is told `--settings-fd N` and reads its settings when we `tell` them.
        """
        reader, writer = os.pipe()
        log = self.log_dir / f"{name}.log"
        environment = confine.scrubbed(self.environ, KEPT) | dict(extra or {})
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "HOME": str(self.log_dir)}
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*map(str, command), "--settings-fd", str(reader)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(*pipes, reader),
                env=environment,
                cwd=self.log_dir,
                start_new_session=True,
            )
        os.close(reader)
        for number in pipes:
            os.close(number)
        child = Child(name, process, writer, log)
        self.children.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self.children):
            ask(child)  # all at once: a server that waits for its clients sees them go
        for child in reversed(self.children):
            end(child)


def ask(child: Child) -> None:
    """Ask it to leave."""
    if child.settings_fd >= 0:
        os.close(child.settings_fd)
        child.settings_fd = -1
    if child.process.poll() is None:
        child.process.terminate()


def end(child: Child, patience: float = PATIENCE) -> None:
    """Ask it to leave, then make it."""
    ask(child)
    if child.process.poll() is None:
        try:
            child.process.wait(patience)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
    try:
        os.killpg(child.process.pid, signal.SIGKILL)  # what it started and left behind
    except (ProcessLookupError, PermissionError):
        pass  # nothing was left


def pair() -> tuple[int, int]:
    """A connected two-way pipe as two descriptors, neither inherited unless passed on."""
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def lines_pipe() -> tuple[IO[str], int]:
    """A one-way pipe of text lines: our reading end and the descriptor for the writer."""
    reader, writer = os.pipe()
    return os.fdopen(reader, encoding="utf-8", errors="replace"), writer
