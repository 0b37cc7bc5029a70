"""What SRE reads back through the gate after a run: typed, and with a gap for whatever could not be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml
from pydantic import JsonValue

from crew.goal import Receipts
from crew.hands import Hands
from policies.change import Phase, Word
from tools.tool import ToolRefusedError

Json = Mapping[str, Any]
_LOG = 20_000
_HOPELESS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError"}
)


class Pods(Word):
    """The pods of one Deployment. `why` is the first reason why one is not ready."""

    namespace: str
    name: str
    running: int
    desired: int
    names: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    why: str = ""


class AppHealth(Word):
    """An Argo CD Application as Argo CD says it."""

    name: str
    sync: str
    health: str
    revision: str


class Usage(Word):
    """A pod's use, where the cluster has metrics; `rehearsal` figures are the sandbox's."""

    pod: str
    cpu_millicores: int
    memory_bytes: int
    rehearsal: bool = False


class Observed(Word):
    """Everything that was read back."""

    deployments: tuple[Pods, ...] = ()
    applications: tuple[AppHealth, ...] = ()
    metrics: tuple[Usage, ...] = ()
    pull_request: Mapping[str, JsonValue] = {}
    workflow_runs: tuple[Mapping[str, JsonValue], ...] = ()
    log: str = ""
    events: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


class Observer:
    """SRE's eyes for one run."""

    def __init__(self, sre: Hands, pause: Callable[[float], None], patience: float = 90.0) -> None:
        self._sre, self._pause, self._patience = sre, pause, patience
        self._gaps: list[str] = []

    def observe(self, receipts: Receipts) -> Observed:
        """Read back what the receipts speak of. Raises SessionLostError."""
        runs = self._workflow_runs(receipts)
        deployed = receipts.of(Phase.DEPLOY) is not None
        found = self._deployments(receipts) if deployed else ()
        spaces = sorted({pods.namespace for pods in found})
        return Observed(
            deployments=found,
            applications=self._applications(receipts),
            metrics=tuple(usage for space in spaces for usage in self._metrics(space)),
            pull_request=self._pull_request(receipts),
            workflow_runs=runs,
            log="\n".join(self._log(run.get("run_id")) for run in runs)[-_LOG:],
            events=tuple(line for space in spaces for line in self._events(space)),
            gaps=tuple(self._gaps),
        )

    def _read(self, tool: str, arguments: Json) -> dict[str, Any]:
        try:
            return self._sre.servers.raw(self._sre.gate, tool, arguments)
        except ToolRefusedError as no:
            self._gaps.append(f"{tool}: {no.message}")
            return {}

    def _deployments(self, receipts: Receipts) -> tuple[Pods, ...]:
        published = receipts.of(Phase.PUBLISH)
        objects = [
            o
            for path, text in sorted((published.tree if published else {}).items())
            if path.startswith("manifests/")
            for o in yaml.safe_load_all(text)
            if isinstance(o, dict) and o.get("kind") == "Deployment"
        ]
        found = []
        for wanted in objects:
            name, space = (
                str(wanted["metadata"]["name"]),
                str(wanted["metadata"].get("namespace") or "default"),
            )
            rollout = self._rollout(space, name)
            if not rollout:
                continue
            pods = list(rollout.get("pods") or ())
            troubled = [f"{p['reason']}: {p['message']}".strip(": ") for p in pods if p.get("reason")]
            found.append(
                Pods(
                    namespace=space,
                    name=name,
                    running=sum(p.get("phase") == "Running" and bool(p.get("ready")) for p in pods),
                    desired=int(rollout.get("desired", 0)),
                    names=tuple(str(p["name"]) for p in pods),
                    phases=tuple(str(p["phase"]) for p in pods),
                    why=troubled[0] if troubled else "",
                )
            )
        return tuple(found)

    def _rollout(self, space: str, name: str) -> dict[str, Any]:
        """The rollout once it is complete, or a pod is in trouble, or patience has ended."""
        waited, delay = 0.0, 0.1
        while True:
            rollout = self._read("rollout_status", {"kind": "Deployment", "namespace": space, "name": name})
            pods = rollout.get("pods") or ()
            if (
                not rollout
                or rollout.get("complete")
                or waited >= self._patience
                or any(p.get("reason") in _HOPELESS for p in pods)
            ):
                return rollout
            self._pause(delay)
            waited, delay = waited + delay, min(delay * 1.5, 2.0)

    def _applications(self, receipts: Receipts) -> tuple[AppHealth, ...]:
        deployed = receipts.of(Phase.DEPLOY)
        synced = [s for s in (deployed.grants if deployed else ()) if s.verb == "sync_application"]
        names = (
            [key.split("/")[-1] for key in _applications(deployed.tree if deployed else {})] if synced else []
        )
        found = []
        for name in names:
            live = self._read("application_status", {"name": name})
            if live:
                about = {key: str(live.get(key, "")) for key in ("sync", "health", "revision")}
                found.append(AppHealth(name=name, **about))
        return tuple(found)

    def _metrics(self, space: str) -> tuple[Usage, ...]:
        read = self._read("pod_metrics", {"namespace": space})
        return (
            tuple(Usage.model_validate(row) for row in read.get("pods") or ())
            if read.get("available")
            else ()
        )

    def _events(self, space: str) -> tuple[str, ...]:
        rows = self._read("list_events", {"namespace": space}).get("events") or ()
        return tuple(
            f"{r.get('about')}: {r.get('reason')}: {r.get('message')}"[:300]
            for r in rows
            if r.get("type") == "Warning"
        )

    def _pull_request(self, receipts: Receipts) -> Mapping[str, JsonValue]:
        number = receipts.fact(Phase.PUBLISH, "open_pull_request", "number")
        return self._read("get_pull_request", {"number": number}) if isinstance(number, int) else {}

    def _workflow_runs(self, receipts: Receipts) -> tuple[Mapping[str, JsonValue], ...]:
        released = receipts.of(Phase.RELEASE)
        facts = [
            dict(s.receipt)
            for s in (released.grants if released else ())
            if s.verb == "dispatch_workflow" and s.receipt
        ]
        return tuple(
            {**f, **self._read("get_workflow_run", {"run_id": _number(f["run_id"])})}
            for f in facts
            if f.get("run_id")
        )

    def _log(self, run_id: JsonValue) -> str:
        read = self._read("get_workflow_log", {"run_id": _number(run_id)})
        return str(read.get("text") or read.get("log") or "")


def _number(run_id: JsonValue) -> int:
    """A run's number; it is a text in receipts, because a dispatch takes only texts."""
    return int(str(run_id))


def _applications(tree: Mapping[str, str]) -> list[str]:
    found = [
        yaml.safe_load(text) for path, text in sorted(tree.items()) if path.startswith("objects/application-")
    ]
    return [f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}" for o in found]
