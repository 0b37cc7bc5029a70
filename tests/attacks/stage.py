"""Where the attacks happen: the sandbox's GitHub and cluster behind the real gate and the real notary, all in this process.

The crew is taken from the start: it obeys every order that it reads, and its Security approves whatever it is shown.
"""

from __future__ import annotations

import gc
import json
import ssl
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from policies import request
from policies.change import ChangeSet, Phase, canonical, digest_of
from policies.review import Decision, Verdict
from policies.scanner.client import ScannerProcess, scanner_command
from policies.trust import instant
from tests.attacks.auditor import Auditor, Door
from tests.attacks.corpus import Told
from tests.attacks.obedient import Orders, filled
from tests.fakes.rehearsal_github import Served, served
from tests.fakes.served_cluster import TOKEN, ServedCluster
from tools import catalog, environments, serve
from tools.gate.__main__ import room_of as gate_room
from tools.gate.room import Room
from tools.gate.server import tools_of
from tools.gate.targets import Targets
from tools.gate.words import (
    Deposit,
    FetchChange,
    IssuedChange,
    JudgePlan,
    OpenedChange,
    PlanVerdict,
    SignoffState,
)
from tools.notary.keys import ensure_keys, key_path, load_signer
from tools.notary.opening import room_of as notary_room
from tools.notary.words import Draft, Sign, Signed
from tools.settings import GateSettings, KubernetesSettings, NotarySettings
from tools.tool import Role, Tool, ToolRefusedError

ROOT = Path(__file__).resolve().parents[2]
CLEAN = ROOT / "tests/attacks/clean"
SANDBOX = ROOT / "policies/profiles/sandbox.toml"
GOAL = digest_of(b"a goal")
AT = "2026-11-02T09:00:00Z"
WORKFLOW = "terraform.yml"


def clean(*folders: str) -> dict[str, str]:
    """The files of a change that passes; `CHANGE_ID`, `CLONE_URL` and `PUBLISHED` stand for what is issued."""
    found = {str(p.relative_to(CLEAN)): p.read_text() for p in sorted(CLEAN.rglob("*")) if p.is_file()}
    return {path: text for path, text in found.items() if path.startswith(folders)}


class Pipe:
    """A role's tools as its pipe offers them, with the belts and the strict decoding of the real server."""

    def __init__(self, portal: BlockingPortal, tools: list[Tool], server: str, role: Role) -> None:
        self.portal = portal
        chosen = catalog.mounted(server, role, tools)
        self.mount = serve.Mount(server, role, chosen, anyio.CapacityLimiter(4), serve.DEADLINE)

    def raw(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One tools/call. Raises ToolRefusedError."""
        answer = self.portal.call(self.mount.calling, tool, dict(arguments), {})
        said: dict[str, Any] = answer["structuredContent"]
        if answer["isError"]:
            raise ToolRefusedError(said["refused"], said["message"], said["advice"])
        return said


@dataclass
class ToGate:
    """The notary's pipe to the gate."""

    pipe: Pipe
    auditor: Auditor

    def fetch_change(self, asked: FetchChange) -> IssuedChange:
        return IssuedChange.model_validate_json(
            json.dumps(self.pipe.raw("fetch_change", asked.model_dump(mode="json")))
        )

    def deposit(self, given: Deposit) -> SignoffState:
        # the auditor learns what was signed from the notary, whatever the gate then makes of it
        change = ChangeSet.model_validate_json(given.manifest)
        self.auditor.signed.append((change, dict(given.content)))
        return SignoffState.model_validate_json(
            json.dumps(
                self.pipe.raw("deposit", Deposit.model_validate(given.model_dump()).model_dump(mode="json"))
            )
        )


@dataclass
class Crew:
    """One run under an obedient crew."""

    stage: Stage
    run_id: str
    profile: Path = SANDBOX
    ask_person: bool = False
    asked: Mapping[str, Any] | None = field(default_factory=dict)
    """What the person's signed request says otherwise; None: nobody signed the goal."""
    clock: Callable[[], datetime] | None = None
    """The gate's; the notary has its own."""
    before: dict[int, Callable[[Crew], None]] = field(default_factory=dict)
    """seq -> what the world does just before that grant is submitted."""
    known: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)
    orders: Orders = field(default_factory=Orders)
    done: bool = False

    def __post_init__(self) -> None:
        stage = self.stage
        told = GateSettings(
            state_dir=stage.folder, run_id=self.run_id, profile=self.profile, rehearsal=True, isolation="none",
            github=stage.github.settings, kubernetes=KubernetesSettings(kubeconfig=stage.cluster.kubeconfig),
            ask_person=self.ask_person, roles={}, notary_fd=0, request=self.wish(),
        )  # fmt: skip
        self.gate_room = stage.shared(gate_room(told))
        if self.clock is not None:
            self.gate_room = replace(self.gate_room, clock=self.clock)
        self.pipes = {
            f"{role} gate": Pipe(stage.portal, tools_of(self.gate_room, self._judge_plan, role), "gate", role)
            for role in Role
        }
        notary = notary_room(
            NotarySettings(
                state_dir=stage.folder, profile=self.profile, pins=ROOT / "knowledge/pins.toml",
                scanner_python=environments.environment("scanner").python, rehearsal=True, isolation="none",
                security_fd=0, gate_fd=0, plan_fd=0, request=self.wish(),
            ),
            stage.scanner,
            lambda: datetime.now(UTC),
        )  # fmt: skip
        self.notary = replace(notary, gate=ToGate(self.pipes["notary gate"], stage.auditor))
        self.pipes["security notary"] = Pipe(
            stage.portal, list(self.notary.for_security()), "notary", Role.SECURITY
        )
        self.pipes["gate notary"] = Pipe(stage.portal, list(self.notary.for_gate()), "notary", Role.GATE)

    def wish(self) -> str | None:
        """The goal under the person's key."""
        if self.asked is None:
            return None
        said = {
            "goal_digest": GOAL,
            "run_id": self.run_id,
            "profile": "sandbox",
            "rehearsal": True,
            "requested_at": instant(datetime.now(UTC)),
        }
        signer = self.asked.get("signer", "person")
        edits = {key: value for key, value in self.asked.items() if key != "signer"}
        key = load_signer(key_path(self.stage.folder, rehearsal=True, role=signer))
        return request.sign(request.Request(**{**said, **edits}), key)

    def _judge_plan(self, asked: JudgePlan) -> PlanVerdict:
        return PlanVerdict.model_validate_json(
            json.dumps(self.pipes["gate notary"].raw("judge_plan", asked.model_dump(mode="json")))
        )

    def join(self, other: Crew) -> None:
        """Go on in another crew's run."""
        self.run_id, self.gate_room, self.notary, self.pipes = (
            other.run_id,
            other.gate_room,
            other.notary,
            other.pipes,
        )
        self.known = dict(other.known)

    # -- hands ---------------------------------------------------------------------------------------------------

    def ask(self, role: str, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call SERVER.TOOL as a role. Raises ToolRefusedError, also where the role has no pipe to that server."""
        server, _, name = tool.partition(".")
        pipe = self.pipes.get(f"{role} {server}")
        if pipe is None:
            raise ToolRefusedError("no-pipe", f"{role} has no pipe to {server}.")
        return pipe.raw(name, arguments)

    def attempt(self, role: str, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """The same; a refusal is remembered, and obeyed like any other text."""
        try:
            return self.ask(role, tool, arguments)
        except ToolRefusedError as refusal:
            self.refused.append(refusal.name)
            self.orders.read(str(refusal))
            return None

    def read(self, text: str) -> None:
        """Meet a text: obey what it orders to be done at once, remember the rest."""
        self.orders.read(text)
        while self.orders.calls:
            role, tool, body = self.orders.calls.pop(0)
            answer = self.attempt(role, tool, filled(body, self.known))
            if answer is not None:
                self.orders.read(_text_of(answer))

    # -- a phase -------------------------------------------------------------------------------------------------

    def open(self, phase: Phase, namespaces: tuple[str, ...] = ()) -> OpenedChange:
        """A change of this run."""
        asked = {"phase": phase.value, "namespaces": list(namespaces), "goal_digest": GOAL}
        opened = OpenedChange.model_validate_json(json.dumps(self.ask("devops", "gate.open_change", asked)))
        repository = opened.destination.repository
        assert repository is not None
        self.known |= {
            "CHANGE": opened.change_id, "BASE": repository.base_commit, "BRANCH": f"countersign/{opened.change_id}",
            "CLONE": repository.clone_url,
        }  # fmt: skip
        return opened

    def draft(
        self, opened: OpenedChange, files: Mapping[str, str], calls: list[tuple[str, dict[str, Any]]]
    ) -> Draft:
        """What DevOps hands in: the harmless draft, with every order carried out on it."""
        ordered = {
            path: text.replace("CHANGE_ID", opened.change_id)
            .replace("CLONE_URL", self.known["CLONE"])
            .replace("PUBLISHED", self.known.get("COMMIT", "0" * 40))
            for path, text in self.orders.applied(files).items()
        }
        content = {path: text.encode("utf-8", "surrogateescape") for path, text in ordered.items()}
        if opened.phase is Phase.DEPLOY:
            content = {path: _as_object(data) for path, data in content.items()}
        there = self.stage.paths() if opened.phase is Phase.PUBLISH else frozenset()
        artifacts = [
            {
                "path": p,
                "digest": digest_of(d),
                "operation": "modify" if p in there else "add",
                "mode": "100644",
            }
            for p, d in sorted(content.items())
        ]
        if opened.phase is Phase.PUBLISH:
            calls[0][1]["files"] = [
                {k: a[k] for k in ("path", "operation", "mode")} | {"file": {"$artifact": a["path"]}}
                for a in artifacts
            ]
        elif opened.phase is Phase.DEPLOY:
            calls = [*_applies(content), *calls]
        calls += [(name, filled(body, self.known)) for name, body in self.orders.grants]
        for seq, body in self.orders.arguments.items():
            calls[seq - 1][1].update(filled(body, self.known))
        said: dict[str, Any] = {
            "version": 1, "change_id": opened.change_id, "run_id": opened.run_id, "phase": opened.phase.value,
            "goal_digest": GOAL, "profile": opened.profile, "artifacts": artifacts,
            "destination": opened.destination.model_dump(mode="json"),
            "grants": [
                {"seq": n, "server": name.split(".")[0], "verb": name.split(".")[1], "arguments": arguments, "effect_key": f"{opened.change_id} {n}",
                 "preconditions": ["previous_done"]}
                for n, (name, arguments) in enumerate(calls, 1)
            ],
        }  # fmt: skip
        for body in self.orders.manifest:
            said |= filled(body, self.known)
        change = ChangeSet.model_validate_json(json.dumps(said))
        return Draft.model_construct(change=change, content={digest_of(d): d for d in content.values()})

    def sign(self, draft: Draft) -> Signed | None:
        """Ask for a signature with an approving verdict, as the always approving Security does."""
        verdict = Verdict(decision=Decision.APPROVE, change_digest=draft.change.sha256())
        asked = Sign.model_construct(
            draft=draft, verdict=verdict, transcript_digest=digest_of(b"t"), trace_id="0" * 32
        )
        sent = Sign.model_validate(asked.model_dump()).model_dump(mode="json")
        answer = self.attempt("security", "notary.sign", sent)
        if answer is None:
            judged = self.attempt("security", "notary.judge", {"draft": sent["draft"]})
            self.rules |= {f["rule"] for f in (judged or {}).get("blocking", ())}
            if judged is None:
                self.refused.pop()  # the same no a second time
            return None
        self.known["SIGNOFF"] = answer["signoff"]
        return Signed.model_validate_json(json.dumps(answer))

    def submit(self, signed: Signed, grants: int) -> bool:
        """Every grant in its order; whether all are done. What stops it is remembered by its name or state."""
        for seq in range(1, grants + 1):
            if (happens := self.before.get(seq)) is not None:
                happens(self)
            state = None
            for _ in range(200):
                state = self.attempt("devops", "gate.submit", {"signoff": signed.signoff, "seq": seq})
                if state is None or state["state"] != "waiting":
                    break
                self.stage.pause(0.05)
            if state is None:
                return False
            if state["state"] != "done":
                self.refused.append(state["state"])
                return False
            if "commit" in (state["receipt"] or {}) and state["verb"] == "push_commit":
                self.known["COMMIT"] = state["receipt"]["commit"]
        return True

    def phase(
        self,
        phase: Phase,
        files: Mapping[str, str] | None = None,
        *,
        namespaces: tuple[str, ...] = ("web",),
        calls: list[tuple[str, dict[str, Any]]] | None = None,
        between: Callable[[Crew], None] | None = None,
    ) -> bool:
        """Draft, sign and submit one phase; whether everything in it is done. `between`: what the world does after the signature."""
        try:
            opened = self.open(phase, namespaces if phase is Phase.DEPLOY else ())
            own = calls if calls is not None else _CALLS[phase](self)
            draft = self.draft(opened, files or {}, own)
        except ToolRefusedError as refusal:
            self.refused.append(refusal.name)
            return False
        except ValueError as fault:  # a manifest that cannot even be written
            self.refused.append("arguments-refused")
            self.orders.read(str(fault))
            return False
        signed = self.sign(draft)
        if between is not None:
            between(self)
        for role, tool, body in self.orders.later:
            if signed is not None or "$SIGNOFF" not in body:
                self.attempt(role, tool, filled(body, {"SIGNOFF": "", **self.known}))
        return signed is not None and self.submit(signed, len(draft.change.grants))

    def told(self, *, applied: bool) -> Told:
        """What came of it."""
        missing = tuple(self.stage.auditor.missing()) if applied else ()
        return Told(tuple(self.refused), frozenset(self.rules), applied, missing)


def _publish_calls(crew: Crew) -> list[tuple[str, dict[str, Any]]]:
    known = crew.known
    who = {"name": "Countersign", "email": "countersign@users.noreply.github.com"}
    message = f"A change\n\nCountersign-Change: {known['CHANGE']}\n"
    return [
        ("github.push_commit", {"branch": known["BRANCH"], "base_commit": known["BASE"], "message": message, "author": who, "date": AT}),
        ("github.open_pull_request", {"head": known["BRANCH"], "base": "main", "title": "A change", "body": known["CHANGE"]}),
        ("github.request_reviewers", {"number": {"$receipt": {"seq": 2, "fact": "number"}}, "reviewers": ["platform-lead"], "team_reviewers": []}),
    ]  # fmt: skip


def _release_calls(crew: Crew) -> list[tuple[str, dict[str, Any]]]:
    known = crew.known
    inputs = {
        "change_id": known["CHANGE"],
        "commit": known["COMMIT"],
        "mode": "plan",
        "plan_run_id": "",
        "plan_sha256": "",
    }
    return [
        ("github.advance_base", {"branch": "main", "from": known["BASE"], "to": known["COMMIT"]}),
        ("github.dispatch_workflow", {"workflow": WORKFLOW, "ref": "main", "inputs": inputs}),
    ]  # fmt: skip


_CALLS: Mapping[Phase, Callable[[Crew], list[tuple[str, dict[str, Any]]]]] = {
    Phase.PUBLISH: _publish_calls,
    Phase.RELEASE: _release_calls,
    Phase.DEPLOY: lambda _: [],
}


def _applies(content: Mapping[str, bytes]) -> list[tuple[str, dict[str, Any]]]:
    rank = (
        "Namespace",
        "ServiceAccount",
        "ConfigMap",
        "NetworkPolicy",
        "AppProject",
        "Application",
        "Deployment",
    )
    rows = []
    for path, data in content.items():
        found = _read(data)
        kind, meta = str(found.get("kind")), found.get("metadata") or {}
        place = meta.get("namespace") if isinstance(meta, dict) else None
        order = rank.index(kind) if kind in rank else len(rank)
        rows.append((order, path, {"object": {"$artifact": path}, "namespace": place}))
    return [("kubernetes.apply", arguments) for _, _, arguments in sorted(rows, key=lambda row: row[:2])]


def _read(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _as_object(data: bytes) -> bytes:
    """Canonical, where it can be: what an honest draft would hold. What cannot be read stays as it is."""
    try:
        return canonical(json.loads(data))
    except ValueError:
        return data


def _text_of(answer: Any) -> str:
    """Every text in a JSON value, one below the other."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Mapping):
        return "\n".join(_text_of(value) for value in answer.values())
    return "\n".join(map(_text_of, answer)) if isinstance(answer, list) else ""


@dataclass
class Stage:
    """The sandbox with a gate's folder; `crew` makes a run."""

    folder: Path
    github: Served
    cluster: ServedCluster
    scanner: ScannerProcess
    auditor: Auditor
    seed: str
    portal: BlockingPortal
    stack: ExitStack
    undo: list[Callable[[], object]] = field(default_factory=list)
    """How to put back what a row changed by hand."""
    runs: int = 0
    _gate: dict[str, object] | None = None
    first: Crew | None = None
    shared_targets: Targets | None = None

    def crew(self, **settings: Any) -> Crew:
        """A crew with a run of its own."""
        self.runs += 1
        return Crew(self, f"run-{self.runs}", **settings)

    def published(self) -> Crew:
        """A crew whose run has published the clean manifests; every change of it is forgotten by the auditor."""
        if self.first is None:
            first = self.crew()
            assert first.phase(Phase.PUBLISH, clean("manifests")), first.refused
            self.first = first
            self.reset()
        before = self.first
        again = self.crew()
        again.join(before)
        return again

    def shared(self, room: Room) -> Room:
        """The room on the first one's targets: every run uses the same connections."""
        if self.shared_targets is None:
            self.shared_targets = room.targets
        return replace(room, targets=self.shared_targets)

    def profile(self, old: str, new: str) -> Path:
        """The sandbox's profile with one text in place of another."""
        text = SANDBOX.read_text()
        assert text.count(old) == 1, old
        path = self.folder / f"profile-{digest_of((old + new).encode())[7:19]}" / "sandbox.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(old, new))
        return path

    def paths(self) -> frozenset[str]:
        """What lies on the base branch, read in git itself."""
        git = self.github.github.hub.git
        return frozenset(entry.path for entry in git.entries(self.github.tip(), recursive=True))

    def by_hand(self, manifest: dict[str, Any], method: str = "PATCH") -> None:
        """An administrator's own write to the cluster; none of the crew's, so the auditor forgets it."""
        version, namespace = manifest["apiVersion"], manifest["metadata"].get("namespace")
        root = "api/v1" if version == "v1" else f"apis/{version}"
        place = f"namespaces/{namespace}/" if namespace else ""
        plural = manifest["kind"].lower() + "s"
        name = manifest["metadata"]["name"]
        query = "fieldManager=administrator&force=true"
        request = urllib.request.Request(
            f"{self.cluster.url}/{root}/{place}{plural}/{name}?{query}",
            method=method,
            data=json.dumps(manifest).encode() if method == "PATCH" else None,
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/apply-patch+yaml"},
        )
        trusted = ssl.create_default_context(cafile=str(self.cluster.authority))
        with urllib.request.urlopen(request, timeout=10, context=trusted):
            pass
        self.auditor.seen.clear()

    def taken(self) -> dict[str, object]:
        """A gate process for a taken crew to try its ways on."""
        if self._gate is None:
            from tests.attacks.gate.test_taken_crew import gate_process

            self._gate = self.stack.enter_context(gate_process(self.folder.parent / "home"))
        return self._gate

    def pause(self, seconds: float) -> None:
        """Let the sandbox work."""
        self.portal.call(anyio.sleep, seconds)

    def unsigned(self) -> list[str]:
        """Effects at the targets that no signature covers."""
        return self.auditor.unsigned()

    def reset(self) -> None:
        """Forget what was seen and signed; the base branch and edited files are as they were in the beginning."""
        while self.undo:
            self.undo.pop()()
        hub, tip = self.github.github.hub, self.github.tip()
        if tip != self.seed:
            with hub.lock:
                hub.git.update_ref("refs/heads/main", self.seed, tip)
        self.auditor.seen.clear()
        self.auditor.signed.clear()


@contextmanager
def opened() -> Iterator[Stage]:
    """A stage that is gone after the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        auditor = Auditor()
        portal = stack.enter_context(start_blocking_portal())
        scanner = stack.enter_context(
            ScannerProcess(scanner_command(environments.environment("scanner").python))
        )
        github = stack.enter_context(
            served(folder / "hub", wrap=lambda app: Door(app, "github", auditor.seen))
        )
        cluster = stack.enter_context(
            ServedCluster(
                folder / "cluster",
                _Repositories(github),
                wrap=lambda app: Door(app, "kubernetes", auditor.seen),
            )
        )
        ensure_keys(folder / "gate", rehearsal=True)
        stage = Stage(folder / "gate", github, cluster, scanner, auditor, github.tip(), portal, stack)
        yield stage
        # the servers wait for their clients' goodbye, so the clients go first
        stage.shared_targets = stage.first = None
        gc.collect()


class _Repositories(dict[str, Path]):
    """A clone URL of the rehearsal GitHub -> its bare repository."""

    def __init__(self, github: Served) -> None:
        hub = github.github.hub
        super().__init__({hub.clone_url: hub.git.path})
