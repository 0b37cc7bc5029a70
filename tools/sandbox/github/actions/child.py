"""A child in a job's scratch place: confined, without network, its lines handed over as they come, killed when late."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import confine

LATE = 124
_MOST_LINES = 20_000
_MOST_OUTPUT = 64 * 2**20


class StoppedError(Exception):
    """The sandbox is being stopped: what a job still had to do is not done."""


class Children:
    """The children of all jobs, so that a stop can end them. A child that comes after it is not started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    @contextmanager
    def running(self, start: Callable[[], subprocess.Popen[bytes]]) -> Iterator[subprocess.Popen[bytes]]:
        """A child, ended with whatever it left behind when the block ends. Raises StoppedError, also afterwards."""
        with self._lock:
            if self._stopped:
                raise StoppedError
            child = start()
            self._running.add(child)
        try:
            with child:
                try:
                    yield child
                finally:
                    _sweep(child)
        finally:
            with self._lock:
                self._running.discard(child)
        if self._stopped:
            raise StoppedError

    def stop(self) -> None:
        """End them all, and start no more."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                _sweep(child)


@dataclass(frozen=True)
class Place:
    """Where a job works. Everything that touches it runs as a confined child: its files are foreign."""

    root: Path
    readable: tuple[Path, ...]
    children: Children
    short: Path
    """TMPDIR: Terraform's providers bind Unix sockets there, and such a path has at most 107 bytes."""

    @property
    def workspace(self) -> Path:
        """GITHUB_WORKSPACE."""
        return self.root / "workspace"

    @property
    def temp(self) -> Path:
        """RUNNER_TEMP."""
        return self.root / "temp"

    def make(self) -> None:
        """The folders."""
        for folder in (self.workspace, self.temp, self.root / "home"):
            folder.mkdir(parents=True)

    def lines(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        say: Callable[[str], None],
        deadline: float,
    ) -> int:
        """Run a child and hand over what it says, line by line; its exit code, LATE when it was killed."""
        late = threading.Event()
        with self._started(argv, cwd, env, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT) as child:
            timer = threading.Timer(deadline, _kill, (child, late))
            timer.start()
            try:
                for said, raw in enumerate(child.stdout or ()):
                    if said < _MOST_LINES:
                        say(raw.decode(errors="replace").rstrip("\r\n")[:8000])
                child.wait()
            finally:
                timer.cancel()
        return LATE if late.is_set() else child.returncode

    def data(
        self, argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes = b"", deadline: float = 120
    ) -> tuple[int, bytes, str]:
        """Run a child for its output: exit code, standard output, what it complained of."""
        with self._started(argv, self.workspace, env, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            try:
                out, complaint = child.communicate(stdin, timeout=deadline)
            except subprocess.TimeoutExpired:
                _sweep(child)
                child.communicate()
                return LATE, b"", f"no answer within {deadline:.0f} seconds"
        if len(out) > _MOST_OUTPUT:
            return 1, b"", f"more than {_MOST_OUTPUT} bytes"
        return child.returncode, out, complaint.decode(errors="replace").strip()

    def _started(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], *, stdin: int, stderr: int
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        command = confine.command(
            argv,
            cwd=cwd,
            readable=self.readable,
            writable=[self.root, self.short],
            network=False,
            env={"LC_ALL": "C.UTF-8", **env},
        )
        return self.children.running(
            lambda: subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=dict(command.env),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        )


def read_text(path: Path, most: int = 2**20) -> str:
    """A file that a child may have written: never through a link, never more than `most` bytes; missing is empty."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(number, "rb") as file:
        return file.read(most).decode(errors="replace")


def _kill(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _sweep(child)


def _sweep(child: subprocess.Popen[bytes]) -> None:
    """End whatever the child left behind in its session."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing was left
