"""A gate and a notary in memory for the crew: real rules judge, grants are done once, and a file survives a kill."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from knowledge import pins
from policies import profile as profiles
from policies.change import ChangeSet, ClusterTarget, Destination, RepositoryTarget, canonical, digest_of
from policies.finding import Finding
from policies.review import Judgement
from policies.scan import ScanContext, scan
from tools.session import ToolView
from tools.tool import ToolRefusedError

ROOT = Path(__file__).resolve().parent.parent.parent
SANDBOX = ROOT / "policies" / "profiles" / "sandbox.toml"
BASE = "b" * 40
CLONE = "http://127.0.0.1:1/acme/platform.git"
REPOSITORY = RepositoryTarget(
    host="127.0.0.1:1", repository_id=1, full_name="acme/platform", clone_url=CLONE, base_branch="main", base_commit=BASE
)  # fmt: skip


def destination(namespaces: tuple[str, ...] = ()) -> Destination:
    cluster = ClusterTarget(uid="uid-1", server="https://127.0.0.1:2", namespaces=namespaces)
    return Destination(repository=REPOSITORY, cluster=cluster if namespaces else None)


def always(finding: Finding) -> bool:
    return True


@dataclass
class FakeServers:
    """crew.hands.Servers. `keep` filters the findings: a rule taken out of it is a rule taken out of the policies."""

    state_file: Path
    keep: Callable[[Finding], bool] = always
    adds: Callable[[int], tuple[Finding, ...]] = lambda _: ()
    asks_person: tuple[str, ...] = ()
    refuses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    waits: int = 0
    reviews: list[tuple[str, str]] = field(default_factory=list)
    """(state, why) of each asking for the review, the last one again and again."""
    reads: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    run_id: str = "run-1"
    judged: int = 0
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    on_call: Callable[[str, dict[str, Any]], None] = lambda _tool, _arguments: None
    after_call: Callable[[str, dict[str, Any]], None] = lambda _tool, _arguments: None

    def call(self, server: str, tool: str, arguments: Any, result: Any) -> Any:
        sent = arguments if isinstance(arguments, Mapping) else arguments.model_dump(mode="json")
        return result.model_validate_json(json.dumps(self.raw(server, tool, sent)))

    def raw(self, server: str, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        sent = dict(arguments)
        self.calls.append((server, tool, sent))
        self.on_call(tool, sent)
        if tool in self.refuses:
            raise ToolRefusedError(*self.refuses[tool])
        answer = getattr(self, f"_{tool}")(sent)
        self.after_call(tool, sent)
        return json.loads(json.dumps(answer))

    def tools(self, server: str) -> list[ToolView]:
        empty = {"type": "object", "properties": {}}
        path = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
        return [ToolView("describe_target", "what the gate sees", empty), ToolView("read_repository_file", "read", path),
                ToolView("submit", "do a grant", empty), ToolView("open_change", "open", empty)]  # fmt: skip

    # -- state -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        if self.state_file.is_file():
            return json.loads(self.state_file.read_text())
        return {"opened": {}, "signed": {}, "done": [], "polls": 0}

    def keep_state(self, state: dict[str, Any]) -> None:
        fresh = self.state_file.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self.state_file)

    def effects(self) -> list[str]:
        return [entry["effect_key"] for entry in self.state["done"]]

    # -- gate --------------------------------------------------------------------------------------------------

    def _describe_target(self, _: Any) -> dict[str, Any]:
        return {
            "destination": destination(("default",)).model_dump(mode="json"),
            "rehearsal": True,
            "isolation": "none",
        }

    def _open_change(self, asked: dict[str, Any]) -> dict[str, Any]:
        state = self.state
        change_id = (
            "cs-" + hashlib.sha256(f"{asked['phase']}{len(state['opened'])}".encode()).hexdigest()[:16]
        )
        opened = {
            "change_id": change_id, "run_id": self.run_id, "phase": asked["phase"], "profile": "sandbox",
            "destination": destination(tuple(asked["namespaces"])).model_dump(mode="json"),
        }  # fmt: skip
        state["opened"][change_id] = opened
        self.keep_state(state)
        return opened

    def _await_review(self, _: dict[str, Any]) -> dict[str, Any]:
        state, why = self.reviews.pop(0) if len(self.reviews) > 1 else self.reviews[0]
        return {"state": state, "why": why, "number": 7, "url": "http://127.0.0.1:1/7"}

    def _list_repository_files(self, _: Any) -> dict[str, Any]:
        return {"paths": ["README.md"]}

    def _read_repository_file(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"path": asked["path"], "text": "hello"}

    def _signoff_state(self, asked: dict[str, Any]) -> dict[str, Any]:
        state = self.state
        record = state["signed"][asked["signoff"]]
        state["polls"] += 1
        self.keep_state(state)
        waiting = (
            self.asks_person[min(state["polls"], len(self.asks_person)) - 1] if self.asks_person else "open"
        )
        change = ChangeSet.model_validate(record["change"])
        grants = [
            {
                "seq": g.seq,
                "server": g.server,
                "verb": g.verb,
                "destination": "x",
                **self._done(asked["signoff"], g.seq),
            }
            for g in change.grants
        ]
        return {"signoff": asked["signoff"], "change_id": change.change_id, "phase": change.phase.value, "state": waiting,
                "expires": "2027-01-01T00:00:00Z", "grants": grants}  # fmt: skip

    def _done(self, signoff: str, seq: int) -> dict[str, Any]:
        found = [e for e in self.state["done"] if (e["signoff"], e["seq"]) == (signoff, seq)]
        return {"state": "done", "receipt": found[0]["receipt"]} if found else {"state": "unspent"}

    def _submit(self, asked: dict[str, Any]) -> dict[str, Any]:
        state = self.state
        change = ChangeSet.model_validate(state["signed"][asked["signoff"]]["change"])
        grant = change.grants[asked["seq"] - 1]
        told = {"seq": grant.seq, "server": grant.server, "verb": grant.verb, "destination": "x"}
        if self.waits:
            self.waits -= 1
            return {**told, "state": "waiting", "detail": "the workflow runs"}
        before = self._done(asked["signoff"], asked["seq"])
        if before["state"] != "done":
            if grant.seq > 1 and self._done(asked["signoff"], grant.seq - 1)["state"] != "done":
                raise ToolRefusedError("out-of-order", "the grant before it is not done.")
            receipt = self._receipt(grant.verb, grant.arguments)
            key = f"{change.change_id} {grant.effect_key}"
            state["done"].append(
                {"signoff": asked["signoff"], "seq": grant.seq, "effect_key": key, "receipt": receipt}
            )
            self.keep_state(state)
        return {**told, **self._done(asked["signoff"], asked["seq"])}

    @staticmethod
    def _receipt(verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        facts: dict[str, dict[str, Any]] = {
            "push_commit": {"commit": hashlib.sha1(canonical(dict(arguments))).hexdigest(), "branch": arguments.get("branch")},
            "open_pull_request": {"number": 7, "url": "http://127.0.0.1:1/acme/platform/pull/7", "state": "open"},
            "dispatch_workflow": {"run_id": 11, "conclusion": "success", "rehearsed": ["terraform / plan"]},
        }  # fmt: skip
        return facts.get(verb, {"done": True})

    def _tell_outcome(self, _: Any) -> dict[str, Any]:
        return self._run_record({"run_id": self.run_id})

    def _run_record(self, _: Any) -> dict[str, Any]:
        phases = [
            {"name": r["change"]["phase"], "change_id": r["change"]["change_id"], "manifest_digest": r["manifest"],
             "signoff": self._signoff_state({"signoff": digest})}
            for digest, r in self.state["signed"].items()
        ]  # fmt: skip
        return {"run_id": self.run_id, "status": "applied" if phases else "nothing_signed", "phases": phases, "denials": [],
                "journal_head": "h"}  # fmt: skip

    # -- what SRE reads ----------------------------------------------------------------------------------------

    def _read(self, tool: str, default: dict[str, Any]) -> dict[str, Any]:
        return self.reads.get(tool, default)

    def _rollout_status(self, asked: dict[str, Any]) -> dict[str, Any]:
        pods = [{"name": f"{asked['name']}-{n}", "phase": "Running", "ready": True} for n in range(3)]
        return self._read("rollout_status", {"desired": 3, "pods": pods, "complete": True})

    def _application_status(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._read("application_status", {"sync": "Synced", "health": "Healthy", "revision": "c" * 40})

    def _pod_metrics(self, _: Any) -> dict[str, Any]:
        return self._read("pod_metrics", {"available": False})

    def _list_events(self, _: Any) -> dict[str, Any]:
        return self._read("list_events", {"events": []})

    def _get_pull_request(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"number": asked["number"], "state": "open", "url": "http://127.0.0.1:1/acme/platform/pull/7"}

    def _get_workflow_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "run_id": asked["run_id"],
            "status": "completed",
            "conclusion": "success",
            "rehearsed": ["terraform / plan"],
        }

    def _get_workflow_log(self, _: Any) -> dict[str, Any]:
        return self._read("get_workflow_log", {"text": "plan: rehearsed, terraform is not here\nend"})

    def _list_namespaces(self, _: Any) -> dict[str, Any]:
        return {"items": [], "complete": True}

    def _list_resources(self, _: Any) -> dict[str, Any]:
        return self._read("list_resources", {"items": [], "complete": True})

    # -- notary ------------------------------------------------------------------------------------------------

    def _judgement(self, draft: dict[str, Any]) -> Judgement:
        change = ChangeSet.model_validate(draft["change"])
        content = {digest: base64.b64decode(data) for digest, data in draft["content"].items()}
        assert change.missing(content) == []
        assert (
            change.destination.model_dump(mode="json")
            == self.state["opened"][change.change_id]["destination"]
        )
        profile, table = profiles.load(SANDBOX), pins.load(pins.PINS)
        context = ScanContext(
            images=table.image_table(), action_pins=table.action_pins(), allowed_registries=frozenset(profile.scope.registries),
            allowed_providers=frozenset(profile.scope.providers), clone_url=CLONE, expected_commit=self._published(),
            rehearsal=True, without=frozenset({"checkov", "rego"}),
        )  # fmt: skip
        tree = {a.path: content[a.digest] for a in change.artifacts}
        found = scan(tree, set(tree), context=context, scanner=None).findings if tree else ()
        # the crew's environment has no kubernetes models, so every kind without a rule of ours would be unjudged
        found = [f for f in found if f.rule != "reading/unjudged"]
        kept = [f for f in (*found, *self.adds(self.judged)) if self.keep(f)]
        self.judged += 1
        return Judgement(
            change_digest=change.sha256(), tree_digest=digest_of(b"tree"), findings=tuple(kept),
            blocking=tuple(f for f in kept if f.severity.rank >= profile.blocking.rank), scanners=("test@1",), policy_digest=digest_of(b"p"),
        )  # fmt: skip

    def _published(self) -> str | None:
        commits = [e["receipt"]["commit"] for e in self.state["done"] if "commit" in e["receipt"]]
        return commits[-1] if commits else None

    def _judge(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._judgement(asked["draft"]).model_dump(mode="json")

    def _sign(self, asked: dict[str, Any]) -> dict[str, Any]:
        judgement = self._judgement(asked["draft"])
        if not judgement.clean or asked["verdict"]["decision"] != "approve":
            raise ToolRefusedError("not-clean", "the change is not clean.")
        if asked["verdict"]["change_digest"] != judgement.change_digest:
            raise ToolRefusedError("other-change", "the verdict is about another change.")
        state = self.state
        digest = digest_of(canonical([asked["draft"]["change"], asked["transcript_digest"]]))
        for record in state["signed"].values():
            if record["change"]["change_id"] == asked["draft"]["change"]["change_id"]:
                raise ToolRefusedError("already-signed", "this change is signed.")
        state["signed"][digest] = {
            "change": asked["draft"]["change"],
            "manifest": judgement.change_digest,
            "transcript": asked["transcript_digest"],
        }
        self.keep_state(state)
        return {
            "signoff": digest,
            "bundle": "{}",
            "expires": "2027-01-01T00:00:00Z",
            "judgement": judgement.model_dump(mode="json"),
        }

    def signed_objects(self) -> list[dict[str, Any]]:
        """Every Kubernetes object of every signed change, as its run folder keeps it."""
        return [
            yaml.safe_load(text)
            for path in sorted(self.state_file.parent.glob("changesets/*/files/objects/*.json"))
            for text in [path.read_text()]
        ]
