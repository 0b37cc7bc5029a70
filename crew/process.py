"""The crew's process behind its walls: settings, trace, sessions, run, exit code."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import IO

from pydantic import ValidationError

from crew import house
from crew.folder import RunFolder
from crew.goal import WaitsError
from crew.model import ModelFaultError
from crew.phases import PhaseFaultError
from crew.tasks.submit import ends_this_life
from knowledge.parameter import BlueprintFaultError
from policies.profile import ProfileFaultError
from tools.session import BackgroundSessions, SessionFaultError
from tools.settings import CrewSettings
from tools.tool import ToolRefusedError
from traces import setup, spans

LOG = logging.getLogger("countersign.crew")
EXPECTED = (
    ModelFaultError, PhaseFaultError, BlueprintFaultError, ProfileFaultError, SessionFaultError, ToolRefusedError, OSError,
)  # fmt: skip


def live(text: bytes, fault: Callable[[str], int]) -> int:
    """Deliver the goal of these settings; the exit code."""
    try:
        settings = CrewSettings.model_validate_json(text)
    except ValidationError as wrong:
        return fault(f"the settings cannot be used: {wrong.errors()[0]['msg']}")
    log = logging.FileHandler(settings.run_dir / "crew.log")
    log.setLevel(logging.WARNING)  # at the handler: some libraries set their own loggers to DEBUG
    logging.basicConfig(handlers=[log], level=logging.WARNING)
    trace = settings.trace
    close = setup.setup(
        "crew", traceparent=trace.traceparent, file=trace.file, otlp_endpoint=trace.otlp_endpoint
    )
    try:
        with os.fdopen(settings.progress_fd, "wb") as progress:
            return _deliver(settings, progress)
    except WaitsError as missing:
        LOG.warning("%s", missing)
        return house.WAITS
    except EXPECTED as known:
        LOG.exception("the run stopped")
        code = fault(str(known))
        if isinstance(known, ToolRefusedError) and ends_this_life(known.name):
            RunFolder(settings.run_dir).tell({"report": str(known)})
            return house.EXIT["refused"]
        return code
    finally:
        close()


def _deliver(settings: CrewSettings, progress: IO[bytes]) -> int:
    with spans.span("invoke_workflow crew"), BackgroundSessions(house.pipe_names(settings)) as servers:
        outcome = asyncio.run(house.run(settings, servers, progress))
        return house.EXIT[outcome.kind]
