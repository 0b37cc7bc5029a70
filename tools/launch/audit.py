"""`countersign audit verify`: the whole journal against its hash chain, its checkpoints, and those that were kept elsewhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policies.trust import load
from tools.gate.audit import Flaw, Snapshot, examine
from tools.gate.journal import snapshot
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError
from tools.notary.keys import TRUST_FILE


def verify(state_dir: Path | None, checkpoint: Path | None) -> tuple[dict[str, Any], str]:
    """`valid` says whether nothing is wrong. Raises ConfigFaultError, TrustFaultError."""
    config = read_config(state_dir)
    witnesses = _kept(config.runs_dir)
    if checkpoint is not None:
        witnesses[str(checkpoint)] = _bundle(checkpoint)
    there, flaws = examined(config.state_dir, witnesses)
    entries = len(there.rows) if there else 0
    document = {
        "valid": not flaws,
        "entries": entries,
        "head": there.rows[-1][6] if there and there.rows else None,
        "checkpoints": len(there.checkpoints) if there else 0,
        "checkpoint": there.checkpoints[-1][2] if there and there.checkpoints else None,
        "witnesses": sorted(witnesses),
        "flaws": [flaw.model_dump(mode="json") for flaw in flaws],
    }
    if flaws:
        lines = [f"  {f.name}{'' if f.entry is None else f' at entry {f.entry}'}: {f.what}" for f in flaws]
        advice = "keep the folder as evidence; nothing is to be submitted on it before a person has compared it with the targets"
        return document, "\n".join([f"NO: {len(flaws)} flaws in {entries} entries", *lines, advice])
    return document, (
        f"yes: {entries} entries are as they were written, under {document['checkpoints']} signed checkpoints, "
        f"and so say {len(witnesses)} checkpoints that were kept elsewhere"
    )


def examined(state_dir: Path, witnesses: Mapping[str, str]) -> tuple[Snapshot | None, list[Flaw]]:
    """The journal of a gate's folder and its flaws. Raises ConfigFaultError, TrustFaultError."""
    there, flaws = _read(state_dir)
    return there, flaws if there is None else examine(there, load(state_dir / TRUST_FILE), witnesses)


def _read(state_dir: Path) -> tuple[Snapshot | None, list[Flaw]]:
    """The journal as it is now. Raises ConfigFaultError when there is none."""
    path = state_dir / "journal.sqlite3"
    if not path.is_file():
        raise ConfigFaultError(f"there is no journal in {state_dir}: no gate ever ran on this folder")
    head = state_dir / "journal.head"
    told = head.read_text("ascii", "replace") if head.is_file() else ""
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=30)
        try:
            db.text_factory = lambda data: data.decode("utf-8", "replace")
            return snapshot(db, told), []
        finally:
            db.close()
    except sqlite3.DatabaseError as fault:
        return None, [Flaw(name="unreadable", entry=None, what=f"{path} is no journal any more: {fault}")]


def _kept(runs: Path) -> dict[str, str]:
    """Run -> the checkpoint that the document of its end holds."""
    found = {}
    for name in folders.known_runs(runs):
        document = runs / name / "document.json"
        kept = folders.read_json(document).get("journal") if document.is_file() else None
        if isinstance(kept, dict) and kept.get("checkpoint"):
            found[f"run {name}"] = str(kept["checkpoint"])
    return found


def _bundle(path: Path) -> str:
    """A checkpoint by itself, or the one in a run's document. Raises ConfigFaultError."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        value = json.loads(text)
    except (OSError, ValueError) as fault:
        raise ConfigFaultError(f"{path} cannot be read as a checkpoint: {fault}") from fault
    if isinstance(value, dict):
        inner = value.get("journal") if isinstance(value.get("journal"), dict) else value
        if isinstance(inner, dict) and isinstance(inner.get("checkpoint"), str):
            return str(inner["checkpoint"])
    return text
