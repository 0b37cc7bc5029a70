"""`python -m tools.gateway --settings-fd N`: a run's pipes onto a gate elsewhere; holds the bearers, no credential and no key."""

from __future__ import annotations

import os
import sys

import anyio

from tools import confine, settings
from tools.gateway.bearers import BearerFaultError
from tools.gateway.remote import serve_pipes
from tools.session import SessionFaultError, alone
from tools.settings import RemoteSettings
from tools.tool import ToolRefusedError
from traces.setup import setup


def main() -> int:
    """0 when the run ended, 1 with one sentence on stderr when the gate elsewhere does not take it."""
    confine.die_with_parent()
    confine.not_dumpable()
    confine.no_new_privs()
    told = settings.read(RemoteSettings)
    close = setup(
        "gate",
        traceparent=told.trace.traceparent,
        file=told.trace.file,
        otlp_endpoint=told.trace.otlp_endpoint,
    )
    try:
        anyio.run(serve_pipes, told)
    except (BearerFaultError, SessionFaultError, ToolRefusedError) as fault:
        sys.stderr.write(f"gate: {fault}\n")
        return 1
    except BaseExceptionGroup as group:
        fault = alone(group)
        if not isinstance(fault, SessionFaultError):
            raise
        sys.stderr.write(f"gate: {fault}\n")
        return 1
    finally:
        close()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
