"""Git's side of the gate's GitHub: one signed commit on a new branch, and the base branch moved forward to it."""

from __future__ import annotations

import base64
from datetime import UTC
from urllib.parse import quote

from policies.change import Operation, digest_of
from tools.github.arguments import AdvanceBaseArguments, PushCommitArguments, PushedFile, parsed
from tools.github.repository import LiveRepository, blob_id
from tools.github.shapes import GitCommit, Oid, Ref
from tools.verbs import Call, ConflictError, Receipt, TargetError


class PushCommit:
    """`github.push_commit`: blobs, tree, commit, then the branch, which must not be there yet.

    Author, committer and date are signed, so the same change makes the same commit id each time.
    """

    def __init__(self, repository: LiveRepository) -> None:
        self._repository = repository

    def find(self, call: Call) -> Receipt | None:
        """The receipt when the branch is there; it matches when it is exactly the signed commit. Raises TargetError."""
        asked, _ = parsed(PushCommitArguments, call, self._repository)
        tip = self._repository.tip(asked.branch)
        if tip is None:
            return None
        commit = self._repository.commit(tip)
        difference = self._difference(asked, call, commit)
        facts = {"commit": tip, "tree": commit.tree.sha, "branch": asked.branch, "url": commit.html_url}
        return Receipt(verb=call.verb, facts=facts, matches=not difference, difference=difference)

    def perform(self, call: Call) -> None:
        """Raises TargetError; ConflictError when the branch is there."""
        asked, _ = parsed(PushCommitArguments, call, self._repository)
        data = {file.path: bytes_of(file, call) for file in asked.files}
        self._refuse_unfit(asked)
        client, git = self._repository.client, f"{self._repository.path}/git"
        entries = [
            {"path": file.path, "mode": file.mode, "type": "blob", "sha": self._stored(data[file.path])}
            for file in asked.files
        ]
        base = self._repository.commit(asked.base_commit).tree.sha
        tree = client.send(Oid, "POST", f"{git}/trees", {"base_tree": base, "tree": entries})
        moment = asked.date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        who = {"name": asked.author.name, "email": asked.author.email, "date": moment}
        body = {
            "message": asked.message,
            "tree": tree.sha,
            "parents": [asked.base_commit],
            "author": who,
            "committer": who,
        }
        commit = client.send(Oid, "POST", f"{git}/commits", body)
        client.tell("POST", f"{git}/refs", {"ref": f"refs/heads/{asked.branch}", "sha": commit.sha})

    def _refuse_unfit(self, asked: PushCommitArguments) -> None:
        there = self._repository.entries(asked.base_commit)
        for file in asked.files:
            if (file.path in there) == (file.operation is Operation.ADD):
                fault = "is there already" if file.path in there else "is not there"
                raise ConflictError(
                    f"{file.path} {fault} at {asked.base_commit}, and was signed to {file.operation}: run again"
                )

    def _stored(self, data: bytes | None) -> str | None:
        if data is None:
            return None
        body = {"content": base64.b64encode(data).decode(), "encoding": "base64"}
        sha = self._repository.client.send(Oid, "POST", f"{self._repository.path}/git/blobs", body).sha
        if sha != blob_id(data):
            raise TargetError(
                f"{self._repository.client.host} stored other bytes than were sent: do not trust this server"
            )
        return sha

    def _difference(self, asked: PushCommitArguments, call: Call, commit: GitCommit) -> str:
        """What makes the branch's commit another one than was signed; empty when nothing does."""
        if [parent.sha for parent in commit.parents] != [asked.base_commit]:
            return f"{asked.branch} is not one commit on {asked.base_commit}"
        if commit.message.rstrip("\n") != asked.message.rstrip("\n"):
            return f"the message of {commit.sha} is another"
        if fault := self._authorship(asked, commit):
            return fault
        expected = {
            path: (entry.mode, entry.sha)
            for path, entry in self._repository.entries(asked.base_commit).items()
        }
        for file in asked.files:
            data = bytes_of(file, call)
            expected.pop(file.path, None)
            if data is not None:
                expected[file.path] = (file.mode, blob_id(data))
        there = {
            path: (entry.mode, entry.sha) for path, entry in self._repository.entries(commit.sha).items()
        }
        odd = sorted(path for path in expected.keys() | there.keys() if expected.get(path) != there.get(path))
        return f"{odd[0]} at {commit.sha} is not as signed" if odd else ""

    def _authorship(self, asked: PushCommitArguments, commit: GitCommit) -> str:
        wanted = (asked.author.name, asked.author.email, asked.date.astimezone(UTC).replace(microsecond=0))
        for who in (commit.author, commit.committer):
            if (who.name, who.email, who.date.astimezone(UTC)) != wanted:
                return f"{commit.sha} is by {who.name} <{who.email}> at {who.date.isoformat()}"
        return ""


def bytes_of(file: PushedFile, call: Call) -> bytes | None:
    """The signed bytes, None for a delete. Raises TargetError when they are others."""
    if file.operation is Operation.DELETE:
        if file.file is not None:
            raise TargetError(f"{file.path} is deleted and has bytes: sign one or the other")
        return None
    data = call.content.get(file.file.digest) if file.file else None
    if (
        file.file is None
        or data is None
        or file.file.path != file.path
        or digest_of(data) != file.file.digest
    ):
        raise TargetError(f"the bytes of {file.path} are not those that were signed: nothing was pushed")
    return data


class AdvanceBase:
    """`github.advance_base`: the base branch moves forward, never by force."""

    def __init__(self, repository: LiveRepository) -> None:
        self._repository = repository

    def find(self, call: Call) -> Receipt | None:
        """The receipt when the base is at the commit or beyond it, None while it is where it was. Raises ConflictError otherwise."""
        asked = self._asked(call)
        tip = self._repository.tip(asked.branch)
        if tip == asked.origin:
            return None
        if tip is None or (
            tip != asked.to and self._repository.compare(asked.to, tip).status not in {"ahead", "identical"}
        ):
            raise ConflictError(
                f"the base moved: {asked.branch} is at {tip or 'nothing'}, not at {asked.origin}: run again, "
                "the change must be judged on the new base"
            )
        commit = self._repository.commit(asked.to)
        single = [parent.sha for parent in commit.parents] == [asked.origin]
        return Receipt(
            verb=call.verb,
            facts={"branch": asked.branch, "commit": asked.to, "tree": commit.tree.sha},
            matches=single,
            difference="" if single else f"{asked.to} is no single commit on {asked.origin}",
        )

    def perform(self, call: Call) -> None:
        """Raises TargetError; ConflictError when this is no fast forward any more."""
        asked = self._asked(call)
        if [parent.sha for parent in self._repository.commit(asked.to).parents] != [asked.origin]:
            raise ConflictError(
                f"{asked.to} is no single commit on {asked.origin}: the base takes only the commit that was signed"
            )
        path = f"{self._repository.path}/git/refs/heads/{quote(asked.branch)}"
        self._repository.client.send(Ref, "PATCH", path, {"sha": asked.to, "force": False})

    def _asked(self, call: Call) -> AdvanceBaseArguments:
        asked, target = parsed(AdvanceBaseArguments, call, self._repository)
        if asked.branch != target.base_branch:
            raise TargetError(
                f"{asked.branch} is not the signed base branch {target.base_branch}: only that one is moved"
            )
        return asked
