"""The trusted side of the worker: start it, ask it, believe only what accounts for every file."""

from __future__ import annotations

import base64
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pydantic import Field, ValidationError

from policies.change import Digest, Word, digest_of

PACKAGE_ROOT = Path(__file__).resolve().parent.parent.parent
MAX_ANSWER = 64 * 1024 * 1024
# Our folder goes to the end of sys.path: whatever lies beside our package must not shadow the worker's libraries.
_BOOT = (
    "import sys, runpy; sys.path.append({root!r}); runpy.run_module('policies.scanner', run_name='__main__')"
)


class ScannerFaultError(Exception):
    """The scanner is missing, dead, late or does not account for the files. Nothing may be signed then."""


class Record(Word):
    """One failed check; `skipped` when the change tried to switch it off."""

    check: str
    name: str
    path: str
    resource: str
    line: int = Field(ge=1)
    skipped: bool = False


class ScannerReport(Word):
    """What a scan says. `files` has the digest of every file that the scanner was given."""

    scanner: str
    files: Mapping[str, Digest]
    unread: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    parsing_errors: tuple[str, ...] = ()


class Scanner(Protocol):
    """Whoever can scan a tree."""

    def scan(self, files: Mapping[str, bytes]) -> ScannerReport:
        """Scan files by path; raises ScannerFaultError when the answer cannot be trusted."""
        ...


def scanner_command(python: Path) -> tuple[str, ...]:
    """How to start the worker with the scanner environment's interpreter."""
    return (str(python), "-P", "-s", "-c", _BOOT.format(root=str(PACKAGE_ROOT)))


class ScannerProcess:
    """The worker as a child process. Start it early: its warm-up takes a second or two in the background.

    Not thread-safe. Start it from a thread that lives as long as the process: on Linux the child dies with it.
    """

    def __init__(self, command: Sequence[str], *, deadline: float = 60.0) -> None:
        self._command = tuple(command)
        self._deadline = deadline
        self._id = 0
        self._ready = False
        self._buffer = b""
        self._child = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and everything that it started."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream:
                stream.close()

    def scan(self, files: Mapping[str, bytes]) -> ScannerReport:
        """Scan files by path with checkov alone."""
        answer = self.ask({"files": encoded(files)})
        try:
            report = ScannerReport.model_validate(answer)
        except ValidationError as error:
            raise ScannerFaultError(f"the scanner's answer has another shape: {error}") from error
        account_for(report.files, files)
        return report

    def ask(self, request: Mapping[str, object]) -> dict[str, object]:
        """Send one request and return its answer, unparsed but for its JSON.

        A worker that died before is started again; one that fails now is a fault.
        """
        if self._child.poll() is not None:
            self.close()
            self._child = self._start()
        try:
            return self._ask(request)
        except ScannerFaultError:
            self.close()
            raise

    def _ask(self, request: Mapping[str, object]) -> dict[str, object]:
        limit = time.monotonic() + self._deadline
        if not self._ready:
            self._ready = "ready" in self._answer(b"", limit)
        self._id += 1
        answer = self._answer(json.dumps({**request, "id": self._id}).encode() + b"\n", limit)
        if "error" in answer or answer.pop("id", None) != self._id:
            raise ScannerFaultError(
                f"the scanner failed: {answer.get('error', 'it answered another request')}"
            )
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        self._ready = False
        self._buffer = b""
        try:
            child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sys.stderr.fileno() if _has_fileno() else subprocess.DEVNULL,
                env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"},
                start_new_session=True,
            )
        except OSError as error:
            raise ScannerFaultError(f"cannot start the scanner {self._command[0]}: {error}") from error
        if child.stdin and child.stdout:
            os.set_blocking(child.stdin.fileno(), False)
            os.set_blocking(child.stdout.fileno(), False)
        return child

    def _answer(self, request: bytes, limit: float) -> dict[str, object]:
        """Write the request and read one line, both before the limit."""
        line = self._exchange(memoryview(request), limit)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise ScannerFaultError("the scanner did not answer in JSON") from error
        if not isinstance(answer, dict):
            raise ScannerFaultError("the scanner did not answer with an object")
        return answer

    def _exchange(self, request: memoryview, limit: float) -> bytes:
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise ScannerFaultError("the scanner has no pipes")
        with selectors.DefaultSelector() as ready:
            ready.register(stdout, selectors.EVENT_READ)
            if request:
                ready.register(stdin, selectors.EVENT_WRITE)
            while b"\n" not in self._buffer:
                events = ready.select(max(0.0, limit - time.monotonic()))
                if not events:
                    raise ScannerFaultError(f"the scanner did not answer within {self._deadline:g} s")
                for key, _ in events:
                    if key.fileobj is stdout:
                        self._read(stdout.fileno())
                    else:
                        request = request[self._write(stdin.fileno(), request) :]
                        if not request:
                            ready.unregister(stdin)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _write(self, pipe: int, request: memoryview) -> int:
        try:
            return os.write(pipe, request[:65536])
        except OSError as error:
            raise ScannerFaultError(f"the scanner is gone: {error}") from error

    def _read(self, pipe: int) -> None:
        data = os.read(pipe, 1 << 20)
        if not data:
            raise ScannerFaultError("the scanner died before it answered")
        self._buffer += data
        if len(self._buffer) > MAX_ANSWER:
            raise ScannerFaultError("the scanner's answer is too long")


def _has_fileno() -> bool:
    try:
        return sys.stderr.fileno() >= 0
    except (OSError, ValueError, AttributeError):
        return False


def encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    """Files as a request carries them: base64 by path."""
    return {path: base64.b64encode(data).decode() for path, data in files.items()}


def account_for(named: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    """Raise ScannerFaultError unless an answer names exactly these files by their digests."""
    expected = {path: digest_of(data) for path, data in files.items()}
    if dict(named) != expected:
        odd = sorted(path for path in {*named, *expected} if named.get(path) != expected.get(path))
        raise ScannerFaultError(f"the scanner does not account for {', '.join(odd[:5])}")
