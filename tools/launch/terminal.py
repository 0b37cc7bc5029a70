"""What every command shares: its two common options, its answer on stdout, its words on stderr, its end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Keep the gate's folder and the runs under this folder.")
]


def answer(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    """The command's answer on stdout: one JSON document, or text."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) if as_json else text)
    sys.stdout.write("\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """Progress of a command, on stderr."""
    sys.stderr.write(f"countersign: {line}\n")


def fail(message: str) -> NoReturn:
    """One clear sentence on stderr, exit 2."""
    from tools.launch.config import ConfigFaultError  # noqa: PLC0415

    raise ConfigFaultError(message)


def leave(code: int) -> NoReturn:
    """End with this code."""
    raise typer.Exit(code)
