"""`countersign drift [RUN]`: a gate of its own reads the targets and compares them with every live sign-off."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.gate.journal import Journal
from tools.gate.ledger import EVERY_RUN
from tools.gate.words import DriftAsked, Drifted, DriftReport
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError
from tools.launch.person_line import person_line
from tools.launch.processes import House
from tools.launch.rehearsal import rehearsal_of


def drift(
    run: str | None, profile: str | None, state_dir: Path | None, environ: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """The differences, as a document and as text. Raises ConfigFaultError, SessionFaultError, ToolRefusedError."""
    config = read_config(state_dir, profile)
    if config.file.gate.url is not None:
        raise ConfigFaultError(f"the gate stands at {config.file.gate.url}: run `countersign drift` there")
    known = _known(config)
    run_id = None if run is None else run if run in known else folders.find_run(config.runs_dir, run).name
    with tempfile.TemporaryDirectory() as folder, House(Path(folder), environ) as house:
        sandbox = rehearsal_of(house, config, run_id or known[-1])
        with person_line(house, config, run_id or "drift", request=None, sandbox=sandbox) as sessions:
            found = sessions.call("gate", "drift", DriftAsked(run_id=run_id), DriftReport)
    return found.model_dump(mode="json"), _text(found)


def _known(config: Config) -> tuple[str, ...]:
    """The runs that the gate did something in, oldest first. Raises ConfigFaultError when there is none."""
    if not (config.state_dir / "journal.sqlite3").is_file():
        raise ConfigFaultError(f"there is no journal in {config.state_dir}: no gate ever ran on this folder")
    journal = Journal(config.state_dir, lambda: datetime.now(UTC), checked=False)
    try:
        runs = tuple(run for run in journal.runs() if run != EVERY_RUN)
    finally:
        journal.close()
    if not runs:
        raise ConfigFaultError(f"the journal in {config.state_dir} knows no run: there is nothing to compare")
    return runs


def _text(found: DriftReport) -> str:
    lines = [line for one in found.differences for line in _lines(one)]
    head = f"{len(found.differences)} of {found.compared} effects differ from what was signed"
    if not found.differences:
        head = f"{found.compared} effects are as they were signed"
    lines += [f"not compared: {one.run_id} {one.seq}. {one.grant}: {one.why}" for one in found.skipped]
    return "\n".join([head, *lines])


def _lines(one: Drifted) -> list[str]:
    lines = [f"  {one.run_id} {one.signoff[:19]} {one.seq}. {one.grant} -> {one.destination}: {one.what}"]
    lines += [f"    signed: {one.signed}"] if one.signed else []
    return [*lines, f"    there:  {one.found}"]
