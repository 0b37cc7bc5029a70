"""What each command does, apart from printing: a document for scripts and a text for people."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from tools.launch import config as configuration
from tools.launch import document, folders, goal_text
from tools.launch.config import SOURCE, Config, ConfigFaultError
from tools.launch.show import ConsoleShow

Language = Literal["ko", "en"]


def read_config(state_dir: Path | None, profile: str | None = None, model: str | None = None) -> Config:
    """This process's configuration, from the file, the command line and the environment."""
    return configuration.read(os.environ, cwd=Path.cwd(), profile=profile, model=model, state_dir=state_dir)


def run(
    goal: str,
    *,
    profile: str | None,
    model: str | None,
    lang: str | None,
    dry_run: bool,
    yes: bool,
    state_dir: Path | None,
    resume: str | None,
    quiet: bool,
) -> tuple[dict[str, Any], int]:
    """Bring the goal to its end: the run's document and the exit code."""
    text = goal if resume else goal_text.check(goal)
    settings = read_config(state_dir, profile, model)
    from tools.launch import run as running  # noqa: PLC0415 - MCP is imported only when a run begins

    language: Language | None = "ko" if lang == "ko" else "en" if lang == "en" else None
    asked = running.Asked(goal=text, language=language, dry_run=dry_run, yes=yes, resume=resume)
    answers = sys.stdin if sys.stdin.isatty() and not quiet else None
    ended = running.run(settings, asked, ConsoleShow(Console(stderr=True), answers), os.environ)
    return ended, document.EXIT[ended["status"]]


def runs(state_dir: Path | None) -> list[dict[str, Any]]:
    """Each run, oldest first: id, goal, status, when."""
    folder = read_config(state_dir).runs_dir
    found = []
    for name in folders.known_runs(folder):
        told = folders.read_json(folder / name / "run.json")
        ended = folder / name / "document.json"
        status = folders.read_json(ended)["status"] if ended.is_file() else "unfinished"
        found.append({"run_id": name, "goal": told["goal"], "status": status, "created": told["created"]})
    return found


def show(run_id: str, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """A run's document, and the same for reading, with the negotiation."""
    folder = folders.find_run(read_config(state_dir).runs_dir, run_id)
    ended = folders.read_json(folder / "document.json")
    transcripts = {p.stem: folders.read_json(p) for p in sorted((folder / "transcripts").glob("*.json"))}
    lines = [f"{ended['run_id']}  {ended['status']}", f"goal: {ended['goal']}", ""]
    for phase in _objects(ended["phases"]):
        lines.append(
            f"{phase['name']}: sign-off {phase['signoff']['digest']} until {phase['signoff']['expires']}"
        )
        lines += [
            f"  {g['seq']}. {g['server']}.{g['verb']} -> {g['destination']}: {g['state']}"
            for g in phase["grants"]
        ]
        lines += [
            f"  ALARM {a['rule']}: {a['resource']}: {a['message']}" for a in _objects(phase.get("alarms"))
        ]
        lines += [f"  {turn}" for turn in _turns(transcripts.get(str(phase["name"]), {}))]
    unsigned = set(transcripts) - {str(p["name"]) for p in _objects(ended["phases"])}
    for name in sorted(unsigned):
        lines += [f"{name}: not signed", *(f"  {turn}" for turn in _turns(transcripts[name]))]
    lines += ["", str(ended["report"])]
    return dict(ended) | {"transcripts": transcripts}, "\n".join(lines)


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _turns(transcript: dict[str, Any]) -> list[str]:
    """A transcript's turns: who spoke, what was objected to and why, what was declined."""
    lines = []
    for turn in _objects(transcript.get("turns")):
        who = "Security" if turn.get("kind") == "reviewed" else "DevOps"
        said = " ".join(str(turn[key]) for key in ("decision", "note") if turn.get(key))
        lines.append(f"[{turn.get('round', '?')}] {who}: {said}")
        lines += [
            f"      {o.get('rule')} at {o.get('where')}: {o.get('why')}"
            for o in _objects(turn.get("objections"))
        ]
        lines += [
            f"      declines {d.get('rule')}: {d.get('reason')}" for d in _objects(turn.get("declined"))
        ]
    return lines


def trace(run_id: str, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """The spans of a run."""
    from traces import waterfall  # noqa: PLC0415

    folder = folders.find_run(read_config(state_dir).runs_dir, run_id)
    try:
        spans = waterfall.read(folder / "trace.jsonl")
    except (OSError, ValueError) as fault:
        raise ConfigFaultError(f"the trace of {folder.name} cannot be read: {fault}") from fault
    document_ = {
        "run_id": folder.name,
        "path": str(folder / "trace.jsonl"),
        "spans": [vars(s) for s in spans],
    }
    return document_, "\n".join(waterfall.draw(spans))


def blueprints() -> tuple[dict[str, Any], str]:
    """What `knowledge/blueprints` holds."""
    found: list[dict[str, Any]] = []
    for path in sorted((SOURCE / "knowledge" / "blueprints").glob("*/blueprint.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        found.append(
            {"name": path.parent.name, **{k: data[k] for k in ("description", "parameters") if k in data}}
        )
    lines = []
    for blueprint in found:
        lines += [
            f"{blueprint['name']}",
            *(f"  {text}" for text in blueprint.get("description", {}).values()),
        ]
        lines += [
            f"    {name}: {_parameter(value)}" for name, value in blueprint.get("parameters", {}).items()
        ]
    return {"blueprints": found}, "\n".join(lines)


def _parameter(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    shown = [str(value.get("type", ""))]
    shown += [
        f"{key} {value[key]}"
        for key in ("min", "max", "minimum", "maximum", "choices", "default")
        if key in value
    ]
    return ", ".join(shown)
