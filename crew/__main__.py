"""`python -m crew --settings-fd N`: confine first, import then, deliver, and leave.

Exit codes: 0 done, 2 the goal was not understood, 3 refused, 4 waiting for a review or a signature, 1 a fault, said in one sentence
on stderr.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from tools import confine

ROOT = Path(__file__).resolve().parent.parent
_PORTS = {"bolt": 7687, "neo4j": 7687, "https": 443, "http": 80}


def main(argv: list[str] | None = None) -> int:
    """The whole life of the crew's process."""
    parser = argparse.ArgumentParser(prog="crew")
    parser.add_argument("--settings-fd", type=int, required=True)
    with os.fdopen(parser.parse_args(argv).settings_fd, "rb") as pipe:
        text = pipe.read()
    told = json.loads(text)
    run_dir = Path(told["run_dir"])
    _quiet(run_dir)
    try:
        confine.not_dumpable()
        confine.restrict(
            readable=(*_system(), *_terraform(told), *told.get("readable", ())),
            writable=(run_dir,),
            hidden=told.get("hidden", ()),
            connect_ports=_ports(told),
        )
    except confine.ConfineFaultError as fault:
        return _fault(f"the crew cannot be confined: {fault}")
    gc.disable()  # importing makes much and frees nothing
    from crew import process  # noqa: PLC0415 - the first third-party import stands behind the walls

    gc.freeze()
    gc.enable()
    return process.live(text, _fault)


def _quiet(run_dir: Path) -> None:
    """Frameworks: no telemetry, no questions, files only in the run's folder; what they print goes into a log."""
    os.environ |= {
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "CREWAI_DISABLE_VERSION_CHECK": "true",
        "CREWAI_STORAGE_DIR": str(run_dir / "crewai"),
        "AUTOGEN_DISABLE_RUNTIME_TRACING": "true",
        "HOME": str(run_dir),
        "TMPDIR": str(run_dir),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    os.chdir(run_dir)  # CrewAI loads a .env from the working directory
    log = os.open(run_dir / "crew.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)


def _system() -> tuple[str, ...]:
    """What Python, its packages and our own source need to be read."""
    present = [
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/etc",
        "/proc",
        "/sys/devices/system/cpu",
        "/dev/urandom",
        "/dev/null",
    ]
    return (*(path for path in present if Path(path).exists()), sys.prefix, sys.base_prefix, str(ROOT))


def _terraform(told: dict[str, Any]) -> tuple[str, ...]:
    """The preview's binary and its mirror of providers, wherever they lie."""
    return tuple(path for key in ("terraform", "provider_mirror") if (path := told.get(key)))


def _ports(told: dict[str, Any]) -> tuple[int, ...]:
    """Where the crew may connect: the graph, the model, the collector."""
    model = told.get("model") or {}
    addresses = [
        (told.get("graph") or {}).get("uri"),
        model.get("base_url"),
        (told.get("trace") or {}).get("otlp_endpoint"),
    ]
    online = model.get("model", "offline") != "offline" and not model.get("base_url")
    found = [urllib.parse.urlsplit(address) for address in addresses if address]
    ports = [part.port or _PORTS.get(part.scheme.partition("+")[0], 443) for part in found]
    return tuple(dict.fromkeys([*ports, *([443, 11434] if online else [])]))


def _fault(sentence: str) -> int:
    sys.stderr.write(f"crew: {' '.join(sentence.split())}\n")
    return 1


def _leave(code: int) -> None:
    """The frameworks' teardown takes longer than a short run; everything of ours is written and closed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
