"""The embedded graph: ArcadeDB from its wheel, speaking Bolt on a loopback port, as this very process.

Standard library alone, started as `python -m knowledge.embedded --settings-fd N` with a JSON document
`{folder, port, http_port, password}`; the process becomes the server. It dies with its parent.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

USER = "neo4j"
DATABASE = "neo4j"
_PR_SET_PDEATHSIG = 1
_OPENED = ("java.base/java.nio=ALL-UNNAMED", "java.base/java.util.concurrent.atomic=ALL-UNNAMED")


def options(*, folder: Path, port: int, http_port: int, password: str) -> str:
    """The server's settings for JDK_JAVA_OPTIONS: an argument list would show the password to every user."""
    settings = {
        "server.rootPath": folder,
        "server.rootPassword": password,
        "server.mode": "development",
        "server.httpIncomingHost": "127.0.0.1",
        "server.httpIncomingPort": http_port,
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "bolt.host": "127.0.0.1",
        "bolt.port": port,
        "bolt.defaultDatabase": DATABASE,
        "server.defaultDatabases": f"{DATABASE}[{USER}:{password}:admin]",
    }
    return " ".join(f"-Darcadedb.{key}={value}" for key, value in settings.items())


def command(home: Path) -> list[str]:
    """The server's command line, from the wheel unpacked at `home`."""
    return [
        str(home / "jre" / "bin" / "java"),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        "--enable-native-access=ALL-UNNAMED",
        "--add-modules=jdk.incubator.vector",
        *(f"--add-opens={module}" for module in _OPENED),
        "-cp",
        str(home / "jars" / "*"),
        "com.arcadedb.server.ArcadeDBServer",
    ]


def main() -> int:  # noqa: RET503 - execve does not return
    """Become the server; 1 with a sentence when the wheel is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings-fd", type=int, required=True)
    with os.fdopen(parser.parse_args().settings_fd, "rb") as pipe:
        told = json.loads(pipe.read() or b"null")
    if told is None:
        return 0
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    spec = importlib.util.find_spec("arcadedb_embedded")
    if spec is None or spec.origin is None:
        sys.stderr.write(
            "the embedded graph is not installed: make the crew environment again (`make clean`, then `make run`)\n"
        )
        return 1
    folder = Path(told["folder"])
    os.chdir(folder)  # it writes ./log
    words = command(Path(spec.origin).parent)
    told_java = options(
        folder=folder, port=told["port"], http_port=told["http_port"], password=told["password"]
    )
    os.execve(words[0], words, {**os.environ, "JDK_JAVA_OPTIONS": told_java})  # noqa: S606 - no shell, fixed arguments


if __name__ == "__main__":
    raise SystemExit(main())
