"""`countersign stop [RUN|all]` and its lifting: an entry of the gate's journal, which every gate on this folder heeds."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.gate import stop as switch
from tools.gate.journal import Journal
from tools.gate.ledger import EVERY_RUN
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError

ALL = "all"
_LONGEST = 500


def stop(run: str, *, lift: bool, reason: str, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Stop a run, or all of them, or let them go on. Raises ConfigFaultError, JournalFaultError."""
    config = read_config(state_dir)
    if not (config.state_dir / "journal.sqlite3").is_file():
        raise ConfigFaultError(f"there is no journal in {config.state_dir}: no gate ever ran on this folder")
    if len(reason) > _LONGEST:
        raise ConfigFaultError(f"the reason has {len(reason)} characters, more than {_LONGEST}")
    journal = Journal(config.state_dir, lambda: datetime.now(UTC), checked=False)
    try:
        run_id = EVERY_RUN if run == ALL else _run_id(journal, config, run)
        person = getpass.getuser()
        if lift:
            lifted = switch.lift(journal, run_id, person=person, reason=reason)
        else:
            switch.stop(journal, run_id, person=person, reason=reason)
    finally:
        journal.close()
    what = "every run" if run_id == EVERY_RUN else f"run {run_id}"
    document = {
        "run": ALL if run_id == EVERY_RUN else run_id,
        "stopped": not lift,
        "by": person,
        "reason": reason,
    }
    if not lift:
        scope = document["run"]
        return document, (
            f"{what} is stopped: no call of it changes anything more; reads go on\n"
            f"`countersign stop {scope} --lift` lets it go on, `countersign run --resume RUN` continues a run"
        )
    return document, f"{what} may go on" if lifted else f"{what} was not stopped"


def _run_id(journal: Journal, config: Config, wanted: str) -> str:
    """A run of the journal by its whole name; otherwise as every command names runs."""
    return wanted if wanted in journal.runs() else folders.find_run(config.runs_dir, wanted).name
