"""A real Neo4j on loopback, started from its jars."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig.build import Binaries
from tests.rig.children import Child, Ports, Start, wait_for

# Neo4j opens these itself from the manifest of its own jar; from a class path somebody has to say it.
OPENS = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
]


@dataclass(frozen=True)
class Graph:
    """A Neo4j that may still be starting."""

    bolt: str
    http: str
    user: str
    password: str
    password_file: Path
    server: Child

    def query(self, statement: str) -> list[list[Any]]:
        """Run one Cypher statement over HTTP; its rows. OSError if the server refuses it or does not answer."""
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.http}/db/neo4j/query/v2",
            data=json.dumps({"statement": statement}).encode(),
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            rows: list[list[Any]] = json.load(response)["data"]["values"]
        return rows

    def wait(self) -> None:
        """Wait until it answers a query as its user."""
        wait_for(self.server, self._answers, seconds=120)

    def _answers(self) -> bool:
        try:
            return self.query("RETURN 1") == [[1]]
        except OSError:  # HTTP opens before the default database does
            return False


def start_neo4j(state: Path, binaries: Binaries, start: Start, ports: Ports) -> Graph:
    """Start Neo4j with a random password. It takes seconds: `wait()` when everything else is on its way."""
    home = state / "neo4j"
    (home / "conf").mkdir(parents=True)
    bolt, http = ports.take(), ports.take()
    settings = {
        "server.default_listen_address": "127.0.0.1",
        "server.bolt.listen_address": f"127.0.0.1:{bolt}",
        "server.http.listen_address": f"127.0.0.1:{http}",
        "server.https.enabled": "false",
        "server.memory.pagecache.size": "64m",
        "dbms.usage_report.enabled": "false",
    }
    (home / "conf" / "neo4j.conf").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    password = secrets.token_urlsafe(24)
    password_file = state / "neo4j-password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    _set_password(home, binaries, password)
    server = start(
        "neo4j",
        [
            binaries.java,
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *OPENS,
            "-cp",
            f"{binaries.neo4j_jars}/*",
            binaries.neo4j_main,
            f"--home-dir={home}",
            f"--config-dir={home / 'conf'}",
        ],
        {"HOME": str(home)},
    )
    return Graph(
        f"bolt://127.0.0.1:{bolt}", f"http://127.0.0.1:{http}", "neo4j", password, password_file, server
    )


def _set_password(home: Path, binaries: Binaries, password: str) -> None:
    """Neo4j's own tool, before the first start: it knows the format of its file of users."""
    tool = ["org.neo4j.cli.AdminTool", "dbms", "set-initial-password", password]
    done = subprocess.run(
        [
            binaries.java,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{binaries.neo4j_jars}/*",
            *tool,
        ],
        env={"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf"), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Neo4j's admin tool: {done.stdout}{done.stderr}")
