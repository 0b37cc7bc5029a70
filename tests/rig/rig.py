"""The rig: a real Kubernetes, Argo CD and Neo4j on loopback, for a test or for a person to look around in.

    python3 tests/rig/rig.py up [--state DIR]        build what is missing, start, print countersign.toml
    python3 tests/rig/rig.py status [--state DIR]    what runs, as JSON; exit 0 only if all of it does
    python3 tests/rig/rig.py down [--state DIR]      end what `up` started and forget what it kept

In a test: `with Rig(folder) as rig: ...`; everything ends with the block, and with the process if that dies first.
Exit codes as build.py: 0, 1 for a fault, 4 for a tool that this machine lacks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

if __name__ == "__main__":  # run as a script: the tree's root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.rig.api import Api
from tests.rig.build import Binaries, BuildFailedError, ToolMissingError, build, cache_folder, require_tools
from tests.rig.children import NOTHING, Child, NotReadyError, Ports, start, stop
from tests.rig.cluster import MANIFESTS, Cluster, apply_manifest, service_account, start_cluster
from tests.rig.gitops import start_argocd
from tests.rig.graph import Graph, start_neo4j

PROFILE = Path(__file__).resolve().parent / "profile.toml"
PASSED_ON = ("PATH", "LANG", "LC_ALL")  # no proxy and no credential of the machine's user reaches a server


class Rig:
    """Everything started, ready and reachable between `__enter__` and `__exit__`.

    `state` must be absent or empty; it is 0700 and holds `kubeconfig` (administrator), `gate.kubeconfig` (what
    Countersign gets), `neo4j-password`, `countersign.toml` and `logs/`.
    """

    cluster: Cluster
    gate: Api
    graph: Graph

    def __init__(
        self, state: Path, binaries: Binaries, environment: Mapping[str, str], *, bound: bool = True
    ) -> None:
        self.state = state.resolve()
        self.binaries = binaries
        self.children: list[Child] = []
        self.seconds: dict[str, float] = {}
        self._environment = {name: environment[name] for name in PASSED_ON if name in environment}
        self._bound = bound

    def __enter__(self) -> Self:
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        if any(self.state.iterdir()):
            raise FileExistsError(f"{self.state} is not empty: `rig.py down` first, or choose another folder")
        (self.state / "logs").mkdir()
        try:
            with Ports() as ports:
                self._start(ports)
        except BaseException:  # an interrupt too must not leave servers behind
            stop(self.children)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop(self.children)

    @property
    def countersign_toml(self) -> Path:
        """The settings file that points Countersign at this rig."""
        return self.state / "countersign.toml"

    def _start(self, ports: Ports) -> None:
        began = time.monotonic()

        def lap(name: str) -> None:
            self.seconds[name] = round(time.monotonic() - began, 1)

        self.graph = start_neo4j(
            self.state, self.binaries, self._child, ports
        )  # slowest to wake, so first to be called
        self.cluster = start_cluster(self.state, self.binaries, self._child, ports)
        lap("kubernetes")
        start_argocd(self.state, self.binaries, self.cluster, self._child, ports)
        lap("argocd")
        apply_manifest(self.cluster, self.binaries, MANIFESTS / "gate.yaml")
        self.gate = service_account(self.cluster.admin, "countersign", "gate")
        self.gate.write_kubeconfig(self.state / "gate.kubeconfig")
        self.graph.wait()
        lap("neo4j")
        self.countersign_toml.write_text(self._settings())

    def _child(
        self, name: str, arguments: Sequence[str | Path], environment: Mapping[str, str] = NOTHING
    ) -> Child:
        everything = {**self._environment, "HOME": str(self.state), **environment}
        child = start(name, arguments, logs=self.state / "logs", environment=everything, bound=self._bound)
        self.children.append(child)
        if not self._bound:
            write_record(
                self.state, self.children
            )  # after each: an `up` that is killed can still be taken down
        return child

    def _settings(self) -> str:
        return f"""\
profile = "{PROFILE}"

[github]  # the sandbox's GitHub, whose real git Argo CD fetches from
kind = "sandbox"

[kubernetes]
kind = "kubeconfig"
kubeconfig = "{self.state / "gate.kubeconfig"}"
context = "rig"

[graph]
kind = "neo4j"
uri = "{self.graph.bolt}"
user = "{self.graph.user}"
password_file = "{self.graph.password_file}"
"""


def write_record(state: Path, children: Sequence[Child]) -> None:
    """Keep what was started, for `status` and `down`."""
    rows = [{**asdict(child), "log": str(child.log)} for child in children]
    (state / "rig.json").write_text(json.dumps(rows, indent=1))


def read_record(state: Path) -> list[Child]:
    """What `up` started in this folder, in its order; empty if nothing."""
    record = state / "rig.json"
    if not record.exists():
        return []
    return [Child(**{**row, "log": Path(row["log"])}) for row in json.loads(record.read_text())]


def up(state: Path, environment: Mapping[str, str]) -> int:
    """Build, start, and leave it running."""
    cache = cache_folder(environment)
    binaries = build(cache, require_tools(cache, environment), say=_say)
    rig = Rig(state, binaries, environment, bound=False)
    rig.__enter__()  # no __exit__: `down` does that
    _say(", ".join(f"{name} after {seconds} s" for name, seconds in rig.seconds.items()))
    _say(f"administrator: KUBECONFIG={rig.cluster.kubeconfig}; Neo4j's browser: {rig.graph.http}")
    print(f"# {rig.countersign_toml}")
    print(rig.countersign_toml.read_text(), end="")
    return 0


def status(state: Path) -> int:
    """Print what runs; 0 only if everything that was started still does."""
    children = read_record(state)
    alive = {child.name: child.is_alive() for child in children}
    print(
        json.dumps(
            {"state": str(state), "settings": str(state / "countersign.toml"), "alive": alive}, indent=1
        )
    )
    return 0 if alive and all(alive.values()) else 1


def down(state: Path) -> int:
    """End everything by its own pid and remove the folder; nothing to do is no fault."""
    children = read_record(state)
    stop(children)
    if children:  # without a record this is no folder of ours
        shutil.rmtree(state)
    _say(f"{len(children)} processes ended")
    return 0


def main() -> int:
    """The command line."""
    environment = dict(os.environ)
    parser = argparse.ArgumentParser(description="Real servers on loopback for Countersign's tests.")
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--state", type=Path, default=cache_folder(environment) / "state", metavar="DIR")
    chosen = parser.parse_args()
    state = chosen.state.resolve()
    try:
        if chosen.command == "up":
            return up(state, environment)
        return status(state) if chosen.command == "status" else down(state)
    except ToolMissingError as missing:
        _say(str(missing))
        return 4
    except (BuildFailedError, NotReadyError, FileExistsError, RuntimeError) as fault:
        _say(str(fault))
        return 1


def _say(line: str) -> None:
    print(f"rig: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
