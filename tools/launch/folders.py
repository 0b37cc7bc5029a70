"""Folders of a run and of the gate, and who may look into them."""

from __future__ import annotations

import json
import os
import secrets
from datetime import datetime
from pathlib import Path

from tools.launch.config import ConfigFaultError


def private(folder: Path) -> Path:
    """The folder, made if needed, 0700 and ours. Raises ConfigFaultError saying what is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as fault:
        raise ConfigFaultError(
            f"cannot write in {folder}: {fault.strerror}; choose another with --state-dir"
        ) from fault
    if folder.stat().st_uid != os.getuid():
        raise ConfigFaultError(f"{folder} belongs to another user; choose another with --state-dir")
    return folder


def new_run(runs: Path, now: datetime) -> Path:
    """A new run's folder, `<runs>/<run id>`."""
    run = runs / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    private(runs)
    return private(run)


def known_runs(runs: Path) -> list[str]:
    """Run ids, oldest first."""
    return sorted(p.name for p in runs.iterdir() if (p / "run.json").is_file()) if runs.is_dir() else []


def waiting_outcomes(runs: Path) -> tuple[Path, ...]:
    """What ended runs left for a graph that was not there, oldest first."""
    return tuple(sorted(runs.glob("*/outcome.json")))


def find_run(runs: Path, wanted: str) -> Path:
    """The folder of a run named whole, by a unique beginning, or `last`. Raises ConfigFaultError."""
    known = known_runs(runs)
    if wanted == "last" and known:
        return runs / known[-1]
    matching = [name for name in known if name.startswith(wanted)] if wanted else []
    if len(matching) != 1:
        said = f"{len(matching)} runs begin with {wanted!r}" if matching else f"there is no run {wanted!r}"
        raise ConfigFaultError(f"{said} in {runs}; `countersign runs` lists them")
    return runs / matching[0]


def read_json(path: Path) -> dict[str, object]:
    """A JSON object of ours. Raises ConfigFaultError when it is missing or corrupted."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigFaultError(f"{path} is missing: the run did not get that far") from None
    except (OSError, ValueError) as fault:
        raise ConfigFaultError(
            f"{path} is corrupted ({fault}); the gate's journal still holds the run: `countersign show RUN`"
        ) from fault
    if not isinstance(value, dict):
        raise ConfigFaultError(f"{path} is corrupted: an object was expected")
    return value


def write_json(path: Path, value: object) -> None:
    """Write atomically: a reader sees the old file or the new one."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
