"""Kill a process of a run at a random instant, resume, and count the effects at the targets: none lost, none doubled.

    .venv/bin/python -m tests.attacks.kills [--count 500] [--jobs 4] [--seed N] [--first N]

Each kill has a repository, a gate's folder and a namespace of its own. Launcher, gate, notary and crew are processes; the gate is the
real one, over the rehearsal servers' own HTTP. What a model would say is scripted, so that a life takes a second.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.change import CHANGE_ANNOTATION
from policies.trust import Trust
from tests.attacks.life import ROOT, RealClock
from tests.fakes import scripted_run
from tests.fakes.gate import World, trusted
from tests.fakes.rehearsal_github import Served, served
from tests.fakes.served_cluster import ServedCluster
from tools.kubernetes.client import connect
from tools.kubernetes.cluster import LiveCluster
from tools.launch.audit import examined
from tools.notary.keys import ensure_keys, load_signer
from tools.settings import KubernetesSettings

VICTIMS = ("gate", "notary", "crew", "launcher")
WORKFLOW = ".github/workflows/terraform.yml"
ONCE = {
    "POST /git/refs refs/heads": 1,
    "POST /pulls": 1,
    "POST /requested_reviewers": 1,
    "POST /comments": 1,
    "POST /dispatches": 1,
    "PATCH /git/refs/heads/main": 1,
}
"""What GitHub must have accepted of one whole run."""


@dataclass
class Accepted:
    """An ASGI app around GitHub that counts the changes which it accepted."""

    app: Any
    counted: collections.Counter[str] = field(default_factory=collections.Counter)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()

        async def receiving() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self._count(scope["method"], scope["path"], bytes(body))
            await send(message)

        await self.app(scope, receiving, sending)

    def _count(self, method: str, path: str, body: bytes) -> None:
        if method == "GET":
            return
        for name in ("/pulls", "/requested_reviewers", "/comments", "/dispatches", "/git/refs/heads/main"):
            if path.endswith(name):
                self.counted[f"{method} {name}"] += 1
        if path.endswith("/git/refs") and json.loads(body)["ref"].startswith("refs/heads/"):
            self.counted["POST /git/refs refs/heads"] += 1


class Lives:
    """The process that lives begin in; one life at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "tests.attacks.life"]
        environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    def live(self, told: Mapping[str, Any], kill: tuple[str, float] | None) -> int:
        """One life, with the victim killed after so many seconds; the launcher's exit code, negative for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        pids = json.loads(self._process.stdout.readline())
        if kill is not None:
            time.sleep(kill[1])
            with _gone():
                os.kill(pids[kill[0]], signal.SIGKILL)
        code = int(json.loads(self._process.stdout.readline())["ended"])
        for name in VICTIMS:
            _wait_for_end(pids[name])
        return code

    def close(self) -> None:
        """No more lives."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        pass  # it had ended before the kill


def _wait_for_end(pid: int) -> None:
    """Who died with the launcher needs a moment for it."""
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        status = Path(f"/proc/{pid}/stat")
        try:
            if status.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        if time.monotonic() > end:
            raise AssertionError(f"process {pid} outlived its launcher")
        time.sleep(0.01)


@dataclass
class Killing:
    """What one kill came to; `wrong` is empty when every effect is there once."""

    number: int
    victim: str
    after: float
    hit: bool
    wrong: list[str]


@dataclass
class Field:
    """One cluster for all, one place for lives per worker, and how long a life takes."""

    folder: Path
    cluster: ServedCluster
    seed: int
    takes: float
    """Seconds of a whole life: the kills fall anywhere in it."""
    _local: threading.local = field(default_factory=threading.local)
    _lives: list[Lives] = field(default_factory=list)

    def lives(self) -> Lives:
        """This worker's."""
        if not hasattr(self._local, "lives"):
            self._local.lives = Lives()
            self._lives.append(self._local.lives)
        made: Lives = self._local.lives
        return made

    def close(self) -> None:
        """End them."""
        for lives in self._lives:
            lives.close()

    def kill(self, number: int) -> Killing:
        """One run, killed once, resumed, counted."""
        dice = random.Random(f"{self.seed}/{number}")  # noqa: S311 - a seeded dice
        victim, after = dice.choice(VICTIMS), dice.uniform(0, self.takes)
        folder = self.folder / f"kill-{number}"
        folder.mkdir()
        counters: list[Accepted] = []

        def counting(app: Any) -> Accepted:
            counters.append(Accepted(app))
            return counters[0]

        with served(folder / "github", wrap=counting) as hub:
            hub.commit({WORKFLOW: scripted_run.WORKFLOW})
            told = self._told(folder, f"kill-{number}", hub)
            first = self.lives().live(told, (victim, after))
            last = self.lives().live(told, None) if first else first
            if last == 0:
                wrong = self._counted(folder, hub, counters[0], told["namespace"])
            else:
                said = (folder / "life.log").read_text(errors="replace").strip().splitlines()[-3:]
                wrong = [f"the resumed life ended with {last}: {' | '.join(said)}"]
        return Killing(number, victim, after, first != 0, wrong)

    def whole(self, number: int) -> float:
        """How long a life takes that nobody ends, with as many beside it as there will be."""
        folder = self.folder / f"whole-{number}"
        folder.mkdir()
        with served(folder / "github") as hub:
            hub.commit({WORKFLOW: scripted_run.WORKFLOW})
            told = self._told(folder, f"whole-{number}", hub)
            began = time.monotonic()
            if self.lives().live(told, None) != 0:
                raise AssertionError((folder / "life.log").read_text(errors="replace")[-2000:])
            return time.monotonic() - began

    def _told(self, folder: Path, run_id: str, hub: Served) -> dict[str, Any]:
        gate, namespace = folder / "gate", run_id
        ensure_keys(gate, True)
        signer, journal = load_signer(gate / "keys/sandbox.pem"), load_signer(gate / "keys/journal.pem")
        world = World(folder / "asking", clock=RealClock(), signer=signer, run_id=run_id)
        world.journal.close()
        keys = (*world.keys(), trusted(journal, rehearsal=False, roles=("journal",)))
        (gate / "trust.json").write_bytes(Trust(keys=keys).canonical())
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        client = connect(KubernetesSettings(kubeconfig=self.cluster.kubeconfig))
        LiveCluster(client).apply(manifest, "", dry_run=False)
        client.close()
        return {
            "folder": str(folder),
            "run_id": run_id,
            "namespace": namespace,
            "github": hub.settings.model_dump(mode="json"),
            "kubeconfig": str(self.cluster.kubeconfig),
            "request": world.request(),
        }

    def _counted(self, folder: Path, hub: Served, accepted: Accepted, namespace: str) -> list[str]:
        """What is not there exactly once, at the targets; and whether the journal is whole."""
        wrong = [
            f"{name}: {accepted.counted[name]} times"
            for name, times in ONCE.items()
            if accepted.counted[name] != times
        ]
        done = json.loads((folder / "crew.json").read_text())
        change = done["publish"]["change_id"]
        branches = [b for b in hub.github.hub.git.refs() if b.startswith("refs/heads/countersign/")]
        if branches != [f"refs/heads/countersign/{change}"]:
            wrong.append(f"branches {branches}")
        if hub.tip() != done.get("commit") or hub.tip(f"countersign/{change}") != done.get("commit"):
            wrong.append("the base is not at the published commit")
        runs = hub.ask("GET", "/actions/runs?per_page=100")[1]["workflow_runs"]
        titled = [r for r in runs if done["release"]["change_id"] in r["display_title"]]
        if len(titled) != 1:
            wrong.append(f"{len(titled)} workflow runs")
        client = connect(KubernetesSettings(kubeconfig=self.cluster.kubeconfig))
        for name in scripted_run.OBJECTS:
            live = LiveCluster(client).find("v1", "ConfigMap", namespace, name)
            marks = (live or {}).get("metadata", {}).get("annotations", {})
            if marks.get(CHANGE_ANNOTATION) != done["deploy"]["change_id"]:
                wrong.append(f"ConfigMap {name} is not as signed")
        client.close()
        flaws = examined(folder / "gate", {})[1]
        return [*wrong, *(f"journal: {flaw.name} at {flaw.entry}: {flaw.what}" for flaw in flaws)]


def run(count: int, jobs: int, seed: int, folder: Path, first: int = 0) -> Iterator[Killing]:
    """Kill `count` times; every killing as soon as those before it are known."""
    with ServedCluster(folder / "cluster") as cluster:
        ground = Field(folder, cluster, seed, takes=0.0)
        try:
            with ThreadPoolExecutor(jobs) as pool:
                list(pool.map(ground.whole, range(jobs)))  # the first of each worker imports everything
                ground.takes = statistics.median(pool.map(ground.whole, range(jobs, 2 * jobs)))
                yield from pool.map(ground.kill, range(first, first + count))
        finally:
            ground.close()


def main(argv: list[str] | None = None) -> int:
    """Run, and say what it came to; 0 when nothing was lost or doubled."""
    parser = argparse.ArgumentParser(prog="kills")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first kill: to repeat one, with --count 1"
    )
    told = parser.parse_args(argv)
    began, done, wrong = time.monotonic(), 0, 0
    hits: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for killing in run(told.count, told.jobs, told.seed, Path(folder), told.first):
            done, wrong = done + 1, wrong + bool(killing.wrong)
            hits[killing.victim] += killing.hit
            if killing.wrong:
                what = f"kill {killing.number} ({killing.victim} after {killing.after:.3f} s)"
                print(f"{what}: {'; '.join(killing.wrong)}", flush=True)
            if done % 25 == 0 or done == told.count:
                ended = f"{sum(hits.values())} in the middle of a run {dict(hits)}"
                seconds = f"{time.monotonic() - began:.0f} s"
                print(
                    f"seed {told.seed}: {done} kills, {ended}, {wrong} lost or doubled, {seconds}", flush=True
                )
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
