"""What reached the targets, seen at their own doors, and which of it a signature covers. Asks neither the gate nor its journal."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.change import ChangeSet, Operation, digest_of
from tools.github.repository import blob_id

_ASKING = frozenset({"GET", "HEAD", "OPTIONS"})
_REVIEWS = ("selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews", "selfsubjectreviews")


@dataclass(frozen=True)
class Effect:
    """One accepted request that changes something."""

    target: str
    method: str
    path: str
    query: Mapping[str, str]
    body: Any

    def __str__(self) -> str:
        return f"{self.target} {self.method} {self.path}"


class Door:
    """An ASGI application, with a list of every accepted request that may change something."""

    def __init__(self, app: Any, target: str, seen: list[Effect]) -> None:
        self._app, self._target, self._seen = app, target, seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] in _ASKING:
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []

        async def reading() -> Any:
            message = await receive()
            chunks.append(message.get("body", b""))
            return message

        async def answering(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self._note(scope, b"".join(chunks))
            await send(message)

        await self._app(scope, reading, answering)

    def _note(self, scope: Any, body: bytes) -> None:
        pairs = [pair.partition("=") for pair in scope["query_string"].decode().split("&") if pair]
        query = {key: value for key, _, value in pairs}
        path = scope["path"]
        if query.get("dryRun") != "All" and path.rsplit("/", 1)[-1] not in _REVIEWS:
            said = json.loads(body) if body else None
            self._seen.append(Effect(self._target, scope["method"], path, query, said))


@dataclass
class Auditor:
    """Compares what the targets saw with what the notary signed."""

    seen: list[Effect] = field(default_factory=list)
    signed: list[tuple[ChangeSet, Mapping[str, bytes]]] = field(default_factory=list)

    def unsigned(self) -> list[str]:
        """Each effect without a grant that covers it, and each second effect of one grant."""
        used: set[tuple[str, int, str]] = set()
        odd = []
        for effect in self.seen:
            covers = [
                (change.change_id, grant.seq, kind)
                for change, content in self.signed
                for grant in change.grants
                if (kind := _covers(effect, change, grant.name, dict(grant.arguments), content))
            ]
            # a blob is named by its bytes: storing it again is storing nothing
            free = [cover for cover in covers if cover not in used or cover[2].startswith("blob")]
            if not free:
                odd.append(str(effect) + (" a second time" if covers else ""))
            used.update(free[:1])
        return odd

    def missing(self) -> list[str]:
        """Each grant that no effect at a target answers to."""
        return [
            f"{change.change_id} {grant.name}"
            for change, content in self.signed
            for grant in change.grants
            if not any(_covers(e, change, grant.name, dict(grant.arguments), content) for e in self.seen)
        ]


def _covers(
    effect: Effect, change: ChangeSet, verb: str, said: dict[str, Any], content: Mapping[str, bytes]
) -> str:
    """What the effect is of that grant (one of each kind may happen), or nothing."""
    if effect.target != verb.partition(".")[0]:
        return ""
    return _OF[verb](effect, change, said, content) if verb in _OF else ""


def _blobs(change: ChangeSet, content: Mapping[str, bytes]) -> dict[str, tuple[str, str | None]]:
    return {
        a.path: (a.mode, None if a.operation is Operation.DELETE else blob_id(content[a.digest]))
        for a in change.artifacts
    }


def _push(effect: Effect, change: ChangeSet, said: dict[str, Any], content: Mapping[str, bytes]) -> str:
    body, last = effect.body or {}, effect.path.rsplit("/git/", 1)[-1]
    if last == "blobs":
        data = base64.b64decode(body["content"])
        return f"blob {digest_of(data)}" if digest_of(data) in content else ""
    if last == "trees":
        there = {e["path"]: (e["mode"], e["sha"]) for e in body["tree"]}
        return "tree" if there == _blobs(change, content) else ""
    if last == "commits":
        return (
            "commit" if (body["message"], body["parents"]) == (said["message"], [said["base_commit"]]) else ""
        )
    wanted = f"refs/heads/countersign/{change.change_id}"
    return "ref" if last == "refs" and effect.method == "POST" and body["ref"] == wanted else ""


def _pull(effect: Effect, _: ChangeSet, said: dict[str, Any], __: Mapping[str, bytes]) -> str:
    body = effect.body or {}
    same = all(body.get(key) == said[key] for key in ("head", "base", "title", "body"))
    return "pull" if effect.path.endswith("/pulls") and same else ""


def _reviewers(effect: Effect, _: ChangeSet, said: dict[str, Any], __: Mapping[str, bytes]) -> str:
    if not re.search(r"/pulls/\d+/requested_reviewers$", effect.path):
        return ""
    return "reviewers" if (effect.body or {}).get("reviewers", []) == said["reviewers"] else ""


def _advance(effect: Effect, _: ChangeSet, said: dict[str, Any], __: Mapping[str, bytes]) -> str:
    moved = effect.method == "PATCH" and effect.path.endswith(f"/git/refs/heads/{said['branch']}")
    return "base" if moved and effect.body == {"sha": said["to"], "force": False} else ""


def _dispatch(effect: Effect, change: ChangeSet, said: dict[str, Any], __: Mapping[str, bytes]) -> str:
    body = effect.body or {}
    if effect.path.endswith(
        "/git/refs"
    ):  # outside of branches and tags: the claim to be the one who dispatches
        return (
            f"claim {body['ref']}" if body["ref"].startswith(f"refs/countersign/{change.change_id}/") else ""
        )
    fixed = {k: v for k, v in said["inputs"].items() if isinstance(v, str)}
    same = body.get("ref") == said["ref"] and fixed.items() <= body.get("inputs", {}).items()
    return "run" if effect.path.endswith("/dispatches") and same else ""


def _apply(effect: Effect, change: ChangeSet, said: dict[str, Any], content: Mapping[str, bytes]) -> str:
    path = said["object"]["$artifact"]
    digest = next(a.digest for a in change.artifacts if a.path == path)
    return "object" if effect.method == "PATCH" and effect.body == json.loads(content[digest]) else ""


def _sync(effect: Effect, _: ChangeSet, said: dict[str, Any], __: Mapping[str, bytes]) -> str:
    asked = ((effect.body or {}).get("operation") or {}).get("sync") or {}
    here = effect.path.endswith(f"/namespaces/{said['namespace']}/applications/{said['name']}")
    return "sync" if here and asked.get("revision") == said["revision"] else ""


_OF = {
    "github.push_commit": _push,
    "github.open_pull_request": _pull,
    "github.request_reviewers": _reviewers,
    "github.advance_base": _advance,
    "github.dispatch_workflow": _dispatch,
    "kubernetes.apply": _apply,
    "kubernetes.sync_application": _sync,
}
