"""The run as a DBOS workflow: what is finished is not done again, whoever kills the process. The one door to DBOS.

A fault is no result: it is never stored, so that a resumed run does the stage that failed again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NEEDED = (3, 42)
_VERSION = "1"
_POLL = 0.05


def modern_sqlite() -> None:
    """DBOS needs SQLite 3.42; where Python's own is older the bundled one takes its place, before DBOS is imported."""
    if sqlite3.sqlite_version_info < _NEEDED:
        import pysqlite3  # noqa: PLC0415 - only where it is needed; other platforms do not ship it

        sys.modules["sqlite3"] = pysqlite3


@dataclass
class DbosSteps:
    """Durable stages of one run. `fault` is set, in the loop of `run`, by the first stage that fails."""

    fault: asyncio.Future[Any] = field(init=False)

    async def once(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - JSON
        """The stored result, or that of doing it now; never returns when the work fails."""
        from dbos import DBOS  # noqa: PLC0415 - heavy; imported with the workflow

        return await DBOS.run_step_async({"name": name}, self._done, work)

    async def _done(self, work: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - JSON
        doing = asyncio.ensure_future(work())
        await asyncio.wait({doing})
        if doing.cancelled() or (fault := doing.exception()) is None:
            return doing.result()
        self.fault.get_loop().call_soon_threadsafe(self._stop, fault)
        return await asyncio.Event().wait()  # the workflow stays pending: this process is about to end

    def _stop(self, fault: BaseException) -> None:
        if not self.fault.done():
            self.fault.set_exception(fault)

    async def run(self, run_id: str, database: Path, deliver: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - JSON
        """Do `deliver` as workflow `run_id`, or go on where an earlier process was stopped; one at a time in a process.

        Raises what a stage raises. A workflow that has ended gives its result again.
        """
        self.fault = asyncio.get_running_loop().create_future()
        modern_sqlite()
        from dbos import DBOS, DBOSPortableJSONSerializer, SetWorkflowID  # noqa: PLC0415 - after the SQLite it shall use

        DBOS(
            config={
                "name": "countersign",
                "system_database_url": f"sqlite:///{database}",
                "executor_id": "crew",
                "application_version": _VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                "notification_listener_polling_interval_sec": 0.02,
                "log_level": "ERROR",
            }
        )

        async def workflow() -> Any:  # noqa: ANN401 - JSON
            return await deliver()

        durable = DBOS.workflow(name="deliver")(workflow)
        DBOS.launch()
        try:
            with SetWorkflowID(run_id):
                handle = await DBOS.start_workflow_async(durable)
            result = asyncio.ensure_future(handle.get_result(polling_interval_sec=_POLL))
            await asyncio.wait({result, self.fault}, return_when=asyncio.FIRST_COMPLETED)
            if self.fault.done():
                result.cancel()
                return self.fault.result()
            return result.result()
        finally:
            DBOS.destroy(destroy_registry=True)
