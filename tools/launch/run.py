"""One run: start the house, show what is said, ask the person what the gate asks, read the journal, end."""

from __future__ import annotations

import getpass
import json
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from tools import confine, environments
from tools.gate.words import (
    Confirmation,
    Pending,
    RunRecord,
    RunRef,
    ShownChange,
    SignoffRef,
    SignoffState,
    TargetDescription,
)
from tools.launch import document, folders, requesting
from tools.launch.config import Config, ConfigFaultError
from tools.launch.diff import change_lines
from tools.launch.processes import House
from tools.launch.rehearsal import rehearsal_of
from tools.launch.show import Show
from tools.launch.wiring import RunSettings, Started, start
from tools.session import BackgroundSessions, SessionFaultError
from tools.tool import Nothing, ToolRefusedError
from traces import setup, spans
from traces.names import RUN, RUN_ID

ELSEWHERE = "elsewhere"
"""The word for a gate that was not asked yet how it is kept apart."""


@dataclass(frozen=True)
class Asked:
    """What the person asked for on the command line."""

    goal: str
    language: Literal["ko", "en"] | None = None
    dry_run: bool = False
    yes: bool = False
    resume: str | None = None


def run(config: Config, asked: Asked, show: Show, environ: Mapping[str, str]) -> dict[str, Any]:
    """Bring the goal to its end and return the document. Raises ConfigFaultError before anything starts."""
    began = time.monotonic()
    requesting.prepared(config)
    run_dir, told, bundle = _opened(config, asked)
    for name in ("crew",) if config.file.gate.url else ("crew", "scanner"):
        environments.ensure(name, show.line)
    ask = not (config.profile.unattended and (asked.yes or config.rehearsal))
    close = setup.setup(
        "launcher",
        traceparent=None,
        file=run_dir / "trace.jsonl",
        otlp_endpoint=config.file.traces.otlp_endpoint,
    )
    with spans.span(RUN, {RUN_ID: told["run_id"]}), House(run_dir, environ) as house:
        told["trace_id"] = spans.trace_id()
        folders.write_json(run_dir / "run.json", told)
        settings = RunSettings(
            run_id=told["run_id"],
            run_dir=run_dir,
            goal=told["goal"],
            language=told["language"],
            dry_run=told["dry_run"],
            ask_person=ask,
            isolation=told["isolation"],
            traceparent=spans.carrier().get("traceparent"),
            waiting=folders.waiting_outcomes(config.runs_dir),
            request=bundle,
        )
        started = start(house, config, settings, lambda: rehearsal_of(house, config, told["run_id"]))
        record, code, signed_at = _attend(started, told, show)
        if code not in (0, 2, 3, document.WAITS):
            show.line(f"the crew ended with {code}: {started.crew.tail(3)}")
    close()
    result = _crew_result(run_dir)
    _forget(settings.waiting, result)
    ended = document.build(run=told, crew=result, record=record, run_dir=run_dir, crew_exit=code)
    clock = {"to_first_signoff": signed_at, "total": time.monotonic()}
    ended["durations"] |= {name: round(at - began, 3) for name, at in clock.items() if at is not None}
    folders.write_json(run_dir / "document.json", ended)
    return ended


def _opened(config: Config, asked: Asked) -> tuple[Path, dict[str, Any], str]:
    """The run's folder, what run.json says and the signed goal: of a new run, or of the one to resume."""
    if asked.resume is not None:
        run_dir = folders.find_run(config.runs_dir, asked.resume)
        told = dict(folders.read_json(run_dir / "run.json"))
        if told["profile"] != config.profile.name:
            raise ConfigFaultError(
                f"run {told['run_id']} began under profile {told['profile']}: give --profile {told['profile']}"
            )
        return run_dir, told, requesting.kept(config, str(told["run_id"]))
    now, signer = datetime.now(UTC), requesting.requester(config)
    run_dir = folders.new_run(config.runs_dir, now)
    told = {
        "run_id": run_dir.name,
        "goal": asked.goal,
        "language": asked.language,
        "profile": config.profile.name,
        "model": config.file.model.model,
        "dry_run": asked.dry_run,
        "rehearsal": config.rehearsal,
        "isolation": ELSEWHERE if config.file.gate.url else confine.isolation(),
        "created": now.isoformat(timespec="seconds"),
        "trace_id": "",
    }
    return run_dir, told, requesting.ask(config, run_dir.name, asked.goal, signer, now)


def _attend(started: Started, told: dict[str, Any], show: Show) -> tuple[RunRecord | None, int, float | None]:
    """Show progress and put the gate's questions to the person until the crew has ended; then ask the journal.

    The journal's record, the crew's exit code, and when the first sign-off was told of. A gate elsewhere says itself
    how it is kept apart.
    """
    run_id = str(told["run_id"])
    signed_at: float | None = None
    events: queue.Queue[dict[str, Any] | None] = queue.Queue()
    reader = threading.Thread(target=_read_progress, args=(started.progress, events), daemon=True)
    reader.start()
    try:
        with BackgroundSessions({"gate": started.person_fd}) as sessions:
            while (event := events.get()) is not None:
                show.event(event)
                if event.get("event") == "signed" and signed_at is None:
                    signed_at = time.monotonic()
                if event.get("event") == "waiting":
                    _confirm(sessions, run_id, show)
            code = started.crew.process.wait()
            if told["isolation"] == ELSEWHERE:
                seen = sessions.call("gate", "describe_target", Nothing(), TargetDescription)
                told["isolation"] = seen.isolation
            return sessions.call("gate", "run_record", RunRef(run_id=run_id), RunRecord), code, signed_at
    except (SessionFaultError, ToolRefusedError) as fault:
        show.line(f"the gate could not be asked: {fault}")
        return None, 1, signed_at


def _read_progress(pipe: IO[str], events: queue.Queue[dict[str, Any] | None]) -> None:
    """Lines of JSON objects; anything else from the crew is dropped, for it may only show words."""
    with pipe:
        for line in pipe:
            try:
                event = json.loads(line[:65536])
            except ValueError:
                continue
            if isinstance(event, dict):
                events.put(event)
    events.put(None)


def _confirm(sessions: BackgroundSessions, run_id: str, show: Show) -> None:
    """Put each waiting sign-off to the person, as the gate itself holds it."""
    for waiting in sessions.call("gate", "pending", RunRef(run_id=run_id), Pending).signoffs:
        if waiting.state != "awaiting_person":
            continue
        change = sessions.call("gate", "show_change", SignoffRef(signoff=waiting.signoff), ShownChange)
        for line in change_lines(change):
            show.line(line)
        yes = show.ask(
            f"Do this? ({waiting.phase}, sign-off {waiting.signoff[:19]}, until {waiting.expires})"
        )
        person = Confirmation(signoff=waiting.signoff, person=getpass.getuser())
        try:
            sessions.call("gate", "confirm" if yes else "refuse", person, SignoffState)
        except ToolRefusedError as no:
            if no.name != "nothing-waits":
                raise
            show.line(f"too late: {no.message} It is judged and asked for anew.")


def _crew_result(run_dir: Path) -> dict[str, Any]:
    """The crew's own words about the run; none when it died before it wrote them."""
    path = run_dir / "result.json"
    return folders.read_json(path) if path.is_file() else {}


def _forget(waiting: tuple[Path, ...], result: Mapping[str, Any]) -> None:
    """Drop what the crew has put into the graph, of that which it was handed and of nothing else."""
    kept = result.get("caught_up", ())
    for path in waiting:
        if isinstance(kept, list) and str(path) in kept:
            path.unlink(missing_ok=True)
