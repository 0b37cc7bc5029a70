"""`python -m tools.notary --settings-fd N`: judge and sign; the only process that holds a signing key.

Its scanner child starts before anything heavy is imported here, so that it warms up meanwhile.
"""

from __future__ import annotations

import gc
import os
import sys
from datetime import UTC, datetime

from policies.scanner.client import ScannerFaultError, ScannerProcess, scanner_command
from tools import confine, settings
from tools.settings import NotarySettings


def main() -> int:
    """0 when the run ended, 1 with one sentence on stderr when the notary could not open."""
    confine.die_with_parent()
    confine.not_dumpable()
    confine.no_new_privs()
    told = settings.read(NotarySettings)
    try:
        process = ScannerProcess(scanner_command(told.scanner_python))
    except ScannerFaultError as fault:
        sys.stderr.write(f"notary: {fault}; `countersign doctor` says how to set the scanner up\n")
        return 1
    with process:
        return _serve(told, process)


def _serve(told: NotarySettings, process: ScannerProcess) -> int:
    gc.disable()  # nothing that imports make is garbage; frozen below
    import anyio  # noqa: PLC0415 - after the scanner's start

    from policies.pins import PinsFaultError  # noqa: PLC0415
    from policies.profile import ProfileFaultError  # noqa: PLC0415
    from policies.trust import TrustFaultError  # noqa: PLC0415
    from tools.catalog import CatalogFaultError  # noqa: PLC0415
    from tools.notary.keys import KeyFaultError  # noqa: PLC0415
    from tools.notary.opening import room_of, serve_room  # noqa: PLC0415
    from traces.setup import setup  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    trace = told.trace
    close = setup("notary", traceparent=trace.traceparent, file=trace.file, otlp_endpoint=trace.otlp_endpoint)
    try:
        anyio.run(serve_room, room_of(told, process, lambda: datetime.now(UTC)), told)
    except (
        KeyFaultError,
        TrustFaultError,
        ProfileFaultError,
        PinsFaultError,
        CatalogFaultError,
        OSError,
    ) as fault:
        sys.stderr.write(f"notary: {fault}\n")
        return 1
    finally:
        close()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # interpreter teardown would cost more than the work that is left
