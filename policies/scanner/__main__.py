"""The worker: `python -m policies.scanner` in the scanner environment. It parses all foreign bytes of a change.

JSON lines. In:  {"id": 1, "files": {PATH: BASE64}}                         checkov alone, or
                 {"id": 1, "judge": {"tree": {PATH: BASE64}, "changed": [PATH], "context": {...}, "base": {...} or null}}
Out: {"id": 1, "scanner": "checkov@V", "files": {PATH: "sha256:..."}, "unread": [PATH],
      "records": [{"check", "name", "path", "resource", "line", "skipped"}], "parsing_errors": [PATH]}, or
     {"id": 1, "files": {PATH: "sha256:..."}, "result": {...}}, or {"id": 1, "error": TEXT}.
The first line out is {"ready": "checkov@V"}.

Each request runs in a fork of the warm process and dies with it: nothing is kept from one to the next.
The worker ends when stdin does, and on Linux with the thread that started it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

MAX_REQUEST = 64 * 1024 * 1024
_ENVIRONMENT = {
    "CHECKOV_PARALLELIZATION_TYPE": "none",  # small trees: a fork for each group of files costs more than it saves
    "CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false",
    "LOG_LEVEL": "CRITICAL",
    "BC_SKIP_MAPPING": "TRUE",
}


def main() -> int:
    """Serve until stdin ends; 0."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the protocol
    os.environ.update(_ENVIRONMENT)
    _die_with_parent()
    gc.disable()
    # checkov reads its environment while it is imported
    from policies.scanner import judging, scan  # noqa: PLC0415

    scan.warm_up()
    judging.warm_up()
    gc.freeze()
    gc.enable()
    _send(answers, {"ready": scan.scanner_name()})
    while line := sys.stdin.buffer.readline(MAX_REQUEST):
        _serve(line, answers, judging.answer)
    return 0


def _serve(line: bytes, answers: BinaryIO, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            request = json.loads(line)
            _send(
                answers,
                {"id": request.get("id"), "error": f"the request ended with status {status}, see stderr"},
            )
        return
    _die_with_parent()
    gc.disable()  # a short life: a collection would only copy the parent's pages
    request = json.loads(line)
    _send(answers, {"id": request["id"], **answer(request)})
    os._exit(0)


def _send(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def _die_with_parent() -> None:
    """On Linux the kernel kills this process when its parent dies; elsewhere the end of stdin does."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - Linux only

        set_parent_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
