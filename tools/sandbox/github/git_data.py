"""GitHub's Git database API: references, blobs, trees, commits."""

from __future__ import annotations

import base64
import binascii
import secrets
from datetime import datetime
from typing import Literal

from pydantic import Field
from starlette.routing import BaseRoute

from policies.change import CommitSha, Word
from tools.sandbox.github import views
from tools.sandbox.github.asking import Answer, Ask, page, route
from tools.sandbox.github.bare import Commit, GitFaultError, Signature
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.refusal import RefusalError, not_found


class NewBlob(Word):
    """The body of POST git/blobs."""

    content: str
    encoding: Literal["utf-8", "base64"] = "utf-8"


class NewEntry(Word):
    """One entry of POST git/trees; exactly one of `sha` (null deletes) and `content`."""

    path: str
    mode: Literal["100644", "100755", "040000", "160000", "120000"]
    type: Literal["blob", "tree", "commit"]
    sha: CommitSha | None = None
    content: str | None = None


class NewTree(Word):
    """The body of POST git/trees."""

    tree: tuple[NewEntry, ...]
    base_tree: CommitSha | None = None


class Person(Word):
    """Author or committer of a new commit."""

    name: str
    email: str
    date: datetime | None = None


class NewCommit(Word):
    """The body of POST git/commits."""

    message: str
    tree: CommitSha
    parents: tuple[CommitSha, ...] = ()
    author: Person | None = None
    committer: Person | None = None


class NewRef(Word):
    """The body of POST git/refs."""

    ref: str = Field(pattern=r"^refs/[^/]+/.+$")
    sha: CommitSha


class RefUpdate(Word):
    """The body of PATCH git/refs."""

    sha: CommitSha
    force: bool = False


def routes(hub: Hub) -> list[BaseRoute]:
    """The Git database endpoints."""
    return [
        route(hub, "GET", "/git/ref/{ref:path}", get_ref),
        route(hub, "GET", "/git/matching-refs/{ref:path}", matching_refs),
        route(hub, "POST", "/git/refs", create_ref),
        route(hub, "PATCH", "/git/refs/{ref:path}", update_ref),
        route(hub, "DELETE", "/git/refs/{ref:path}", delete_ref),
        route(hub, "POST", "/git/blobs", create_blob),
        route(hub, "GET", "/git/blobs/{sha}", get_blob),
        route(hub, "POST", "/git/trees", create_tree),
        route(hub, "GET", "/git/trees/{sha}", get_tree),
        route(hub, "POST", "/git/commits", create_commit),
        route(hub, "GET", "/git/commits/{sha}", get_commit),
    ]


def get_ref(hub: Hub, ask: Ask) -> views.Json:
    """One reference, by its exact name."""
    name = f"refs/{ask.path['ref']}"
    sha = hub.git.refs().get(name)
    if sha is None:
        raise not_found("/git/refs#get-a-reference")
    return views.ref(hub, name, sha)


def matching_refs(hub: Hub, ask: Ask) -> Answer:
    """References whose name starts so."""
    prefix = f"refs/{ask.path['ref']}"
    return page(ask, [views.ref(hub, n, s) for n, s in hub.git.refs().items() if n.startswith(prefix)])


def create_ref(hub: Hub, ask: Ask) -> Answer:
    """A new reference; 422 when it is there already or the commit is not."""
    new = ask.parse(NewRef)
    if hub.git.kind(new.sha) is None:
        raise RefusalError(422, "Object does not exist", page="/git/refs#create-a-reference")
    _well_named(hub, new.ref)
    if new.ref in hub.git.refs():
        raise RefusalError(422, "Reference already exists", page="/git/refs#create-a-reference")
    hub.move(new.ref, None, new.sha, ask.actor)
    return Answer(views.ref(hub, new.ref, new.sha), 201)


def update_ref(hub: Hub, ask: Ask) -> views.Json:
    """Move a reference; without force only forward."""
    update = ask.parse(RefUpdate)
    name = f"refs/{ask.path['ref']}"
    old = hub.git.refs().get(name)
    if old is None:
        raise RefusalError(422, "Reference does not exist", page="/git/refs#update-a-reference")
    if hub.git.kind(update.sha) != "commit":
        raise RefusalError(422, "Object does not exist", page="/git/refs#update-a-reference")
    if not update.force and not hub.git.is_ancestor(old, update.sha):
        raise RefusalError(422, "Update is not a fast forward", page="/git/refs#update-a-reference")
    if old != update.sha:
        hub.move(name, old, update.sha, ask.actor)
    return views.ref(hub, name, update.sha)


def delete_ref(hub: Hub, ask: Ask) -> Answer:
    """Remove a reference."""
    name = f"refs/{ask.path['ref']}"
    old = hub.git.refs().get(name)
    if old is None or name == f"refs/heads/{hub.settings.default_branch}":
        raise RefusalError(422, "Reference does not exist", page="/git/refs#delete-a-reference")
    hub.git.delete_ref(name, old)
    return Answer(None, 204)


def create_blob(hub: Hub, ask: Ask) -> Answer:
    """Store bytes."""
    new = ask.parse(NewBlob)
    try:
        data = (
            new.content.encode() if new.encoding == "utf-8" else base64.b64decode(new.content, validate=False)
        )
    except binascii.Error:
        raise RefusalError(422, "content is not valid Base64", page="/git/blobs#create-a-blob") from None
    sha = hub.git.write_blob(data)
    return Answer({"sha": sha, "url": f"{hub.api_repo}/git/blobs/{sha}"}, 201)


def get_blob(hub: Hub, ask: Ask) -> views.Json:
    """A blob's bytes in Base64, sixty characters a line as on GitHub."""
    sha = ask.path["sha"]
    data = hub.git.object("blob", sha)
    text = base64.b64encode(data).decode()
    return {
        "sha": sha,
        "node_id": views.node("Blob", sha),
        "size": len(data),
        "url": f"{hub.api_repo}/git/blobs/{sha}",
        "content": "".join(f"{text[i : i + 60]}\n" for i in range(0, len(text), 60)),
        "encoding": "base64",
    }


def create_tree(hub: Hub, ask: Ask) -> Answer:
    """A tree on a base tree."""
    new = ask.parse(NewTree)
    if new.base_tree and hub.git.kind(new.base_tree) not in {"tree", "commit"}:
        raise RefusalError(422, "base_tree is not a valid tree oid", page="/git/trees#create-a-tree")
    known = {e.path for e in hub.git.entries(new.base_tree, recursive=True)} if new.base_tree else set()
    changes: dict[str, tuple[str, str] | None] = {}
    for entry in new.tree:
        changes[entry.path] = _entry(hub, entry, known)
    scratch = hub.state / f"index-{secrets.token_hex(8)}"
    sha = hub.git.write_tree(new.base_tree, changes, scratch)
    return Answer(_tree(hub, sha, recursive=False), 201)


def get_tree(hub: Hub, ask: Ask) -> views.Json:
    """A tree by its id, a commit's id or a branch; any value of `recursive` means every level."""
    wanted = ask.path["sha"]
    found = wanted if hub.git.kind(wanted) == "tree" else hub.git.commit(hub.git.resolve(wanted)).tree
    return _tree(hub, found, recursive="recursive" in ask.query)


def create_commit(hub: Hub, ask: Ask) -> Answer:
    """A commit, exactly as given: an author with a date makes its id predictable."""
    new = ask.parse(NewCommit)
    if hub.git.kind(new.tree) != "tree":
        raise RefusalError(422, "Tree SHA does not exist", page="/git/commits#create-a-commit")
    if any(hub.git.kind(parent) != "commit" for parent in new.parents):
        raise RefusalError(
            422, "Parent SHA does not exist or is not a commit object", page="/git/commits#create-a-commit"
        )
    author = _signature(hub, ask, new.author or new.committer)
    committer = _signature(hub, ask, new.committer or new.author)
    sha = hub.git.write_commit(Commit("", new.tree, new.parents, author, committer, new.message))
    return Answer(views.git_commit(hub, hub.git.commit(sha)), 201)


def get_commit(hub: Hub, ask: Ask) -> views.Json:
    """One commit object."""
    return views.git_commit(hub, hub.git.commit(ask.path["sha"]))


def _entry(hub: Hub, entry: NewEntry, known: set[str]) -> tuple[str, str] | None:
    if entry.content is not None:
        return entry.mode, hub.git.write_blob(entry.content.encode())
    if entry.sha is None:
        if entry.path not in known:
            raise RefusalError(422, "GitRPC::BadObjectState", page="/git/trees#create-a-tree")
        return None
    if hub.git.kind(entry.sha) != entry.type:
        raise RefusalError(
            422, f"tree.sha {entry.sha} is not a valid {entry.type}", page="/git/trees#create-a-tree"
        )
    if entry.type != "blob":
        raise RefusalError(422, "the sandbox takes blobs only in a new tree", page="/git/trees#create-a-tree")
    return entry.mode, entry.sha


def _tree(hub: Hub, sha: str, *, recursive: bool) -> views.Json:
    def line(path: str, mode: str, kind: str, oid: str, size: int | None) -> views.Json:
        shown = {"path": path, "mode": mode, "type": kind, "sha": oid}
        if kind != "commit":
            shown["url"] = f"{hub.api_repo}/git/{kind}s/{oid}"
        return shown if size is None else {**shown, "size": size}

    return {
        "sha": sha,
        "url": f"{hub.api_repo}/git/trees/{sha}",
        "tree": [
            line(e.path, e.mode, e.kind, e.sha, e.size) for e in hub.git.entries(sha, recursive=recursive)
        ],
        "truncated": False,
    }


def _signature(hub: Hub, ask: Ask, person: Person | None) -> Signature:
    if person is None:
        return Signature(
            ask.actor, f"{ask.actor}@users.noreply.localhost", int(hub.now().timestamp()), "+0000"
        )
    moment = person.date or hub.now()
    offset = moment.strftime("%z") or "+0000"
    return Signature(person.name, person.email, int(moment.timestamp()), offset)


def _well_named(hub: Hub, name: str) -> None:
    try:
        hub.git.run("check-ref-format", name)
    except GitFaultError:
        raise RefusalError(
            422, f"{name} is not a valid ref name.", page="/git/refs#create-a-reference"
        ) from None
