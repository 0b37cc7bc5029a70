"""Every node and relationship of an embedded graph, as JSON on stdout: `graph_dump.py FOLDER`, in the crew's environment."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from knowledge.graph import Graph

NODES = "MATCH (n) RETURN labels(n)[0] AS label, n.key AS key, properties(n) AS properties"
LINKS = "MATCH (a)-[r]->(b) RETURN type(r) AS kind, labels(a)[0] + '/' + a.key AS source, labels(b)[0] + '/' + b.key AS target"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(folder: Path) -> None:
    known = json.loads((folder / "address.json").read_text())
    told = {**known, "folder": str(folder), "port": free_port(), "http_port": free_port()}
    reader, writer = os.pipe()
    command = [sys.executable, "-P", "-m", "knowledge.embedded", "--settings-fd", str(reader)]
    server = subprocess.Popen(
        command, pass_fds=[reader], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with os.fdopen(writer, "w") as pipe:
        json.dump(told, pipe)
    try:
        with Graph(f"bolt://127.0.0.1:{told['port']}", "neo4j", told["password"]) as graph:
            graph.wait(60)
            print(json.dumps({"nodes": graph.read(NODES), "links": graph.read(LINKS)}, default=str))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
