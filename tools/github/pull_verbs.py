"""The gate's side of a pull request: open it, ask for reviewers, remark on it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from policies.change import RepositoryTarget, digest_of
from tools.github.arguments import (
    CommentArguments,
    OpenPullRequestArguments,
    RequestReviewersArguments,
    parsed,
    place,
)
from tools.github.claims import Claims
from tools.github.pulls import Pulls, state_of
from tools.github.repository import LiveRepository
from tools.github.shapes import Comment, Commit, Numbered, Pull
from tools.verbs import Call, ConflictError, Receipt, TargetError

MARK = "<!-- countersign/change"


class OpenPullRequest:
    """`github.open_pull_request`: its whole range is the one commit on the signed base."""

    def __init__(self, repository: LiveRepository) -> None:
        self._repository = repository
        self._pulls = Pulls(repository)

    def find(self, call: Call) -> Receipt | None:
        """The receipt of the pull request from head into base; it matches when range and text are the signed ones. Raises TargetError."""
        asked, target = parsed(OpenPullRequestArguments, call, self._repository)
        pull = self._pulls.find(asked.head, asked.base, target.repository_id)
        if pull is None:
            return None
        difference = self._difference(asked, target, pull)
        facts = {
            "number": pull.number,
            "url": pull.html_url,
            "head_sha": pull.head.sha,
            "state": state_of(pull),
        }
        return Receipt(verb=call.verb, facts=facts, matches=not difference, difference=difference)

    def perform(self, call: Call) -> None:
        """Raises TargetError; ConflictError when the branch holds more than the one commit."""
        self.ready(call)
        asked, _ = parsed(OpenPullRequestArguments, call, self._repository)
        body = {
            "title": asked.title,
            "head": asked.head,
            "base": asked.base,
            "body": asked.body,
            "maintainer_can_modify": False,
        }
        self._repository.client.send(Numbered, "POST", f"{self._repository.path}/pulls", body)

    def ready(self, call: Call) -> None:
        """Raises ConflictError when the branch holds more than the one commit."""
        asked, target = parsed(OpenPullRequestArguments, call, self._repository)
        fault = _range_fault(self._repository.compare(target.base_commit, asked.head).commits, target)
        if fault:
            raise ConflictError(f"{asked.head} {fault}: run again with a branch of its own")

    def words(self, call: Call) -> Mapping[str, JsonValue]:
        """`owner`, `repo`, `head`, `base`, `title`, `body`. Raises TargetError."""
        asked, target = parsed(OpenPullRequestArguments, call, self._repository)
        return {
            **place(target),
            "head": asked.head,
            "base": asked.base,
            "title": asked.title,
            "body": asked.body,
        }

    def settle(self, call: Call) -> None:
        """It is there when it is answered."""

    def _difference(self, asked: OpenPullRequestArguments, target: RepositoryTarget, pull: Pull) -> str:
        if state_of(pull) == "closed":
            return f"pull request {pull.number} was closed without a merge"
        commits = self._pulls.commits(pull.number)
        if fault := _range_fault(commits, target):
            return f"pull request {pull.number} {fault}"
        if commits[0].sha != pull.head.sha:
            return f"pull request {pull.number} is at {pull.head.sha}, its commit is {commits[0].sha}"
        said = (pull.title, _lines(pull.body or ""))
        return (
            ""
            if said == (asked.title, _lines(asked.body))
            else f"pull request {pull.number} says something else"
        )


def _range_fault(commits: tuple[Commit, ...], target: RepositoryTarget) -> str:
    if len(commits) != 1:
        return f"holds {len(commits)} commits instead of the one that was signed"
    if [parent.sha for parent in commits[0].parents] != [target.base_commit]:
        return f"is not one commit on {target.base_commit}"
    return ""


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


class RequestReviewers:
    """`github.request_reviewers`: accounts and teams; who has reviewed already counts as asked."""

    def __init__(self, repository: LiveRepository) -> None:
        self._repository = repository
        self._pulls = Pulls(repository)

    def find(self, call: Call) -> Receipt | None:
        """The receipt when each of them is asked or has answered. Raises TargetError."""
        asked, _ = parsed(RequestReviewersArguments, call, self._repository)
        pull = self._pulls.get(asked.number)
        people = {user.login.lower() for user in pull.requested_reviewers}
        teams = {team.slug.lower() for team in pull.requested_teams}
        if not set(map(str.lower, asked.reviewers)) <= people:
            people |= {
                review.user.login.lower() for review in self._pulls.reviews(asked.number) if review.user
            }
        if (
            not set(map(str.lower, asked.reviewers)) <= people
            or not set(map(str.lower, asked.team_reviewers)) <= teams
        ):
            return None
        facts = {
            "number": asked.number,
            "reviewers": list(asked.reviewers),
            "team_reviewers": list(asked.team_reviewers),
        }
        return Receipt(verb=call.verb, facts=facts)

    def perform(self, call: Call) -> None:
        """Raises TargetError; ConflictError for somebody who has no access or wrote the pull request."""
        self.ready(call)
        asked, _ = parsed(RequestReviewersArguments, call, self._repository)
        body = {"reviewers": list(asked.reviewers), "team_reviewers": list(asked.team_reviewers)}
        path = f"{self._repository.path}/pulls/{asked.number}/requested_reviewers"
        self._repository.client.send(Pull, "POST", path, body)

    def ready(self, call: Call) -> None:
        """Raises TargetError when nobody is named."""
        asked, _ = parsed(RequestReviewersArguments, call, self._repository)
        if not asked.reviewers and not asked.team_reviewers:
            raise TargetError("nobody is named to review: name reviewers in the profile, then sign again")

    def words(self, call: Call) -> Mapping[str, JsonValue]:
        """`owner`, `repo`, `number`, `reviewers`. Raises TargetError for teams, which no tool of such a server can ask."""
        asked, target = parsed(RequestReviewersArguments, call, self._repository)
        if asked.team_reviewers:
            raise TargetError(
                "a team can only be asked by the gate's own client: submit this grant by its number"
            )
        return {**place(target), "number": asked.number, "reviewers": list(asked.reviewers)}

    def settle(self, call: Call) -> None:
        """They are asked when it is answered."""


class CommentOn:
    """`github.comment`: a remark whose hidden last line names the change and the text's digest."""

    def __init__(self, repository: LiveRepository, claims: Claims) -> None:
        self._repository, self._claims = repository, claims
        self._pulls = Pulls(repository)

    def find(self, call: Call) -> Receipt | None:
        """The receipt of the comment with this change's mark; it matches when its text is the signed one. Raises TargetError."""
        asked, text = self._text(call)
        mark = text.rpartition("\n")[2]
        found = next(
            (
                c
                for c in self._pulls.comments(asked.number)
                if _lines(c.body or "").rpartition("\n")[2] == mark
            ),
            None,
        )
        if found is None:
            return None
        difference = (
            "" if _lines(found.body or "") == _lines(text) else f"comment {found.id} says something else"
        )
        facts = {"number": asked.number, "id": found.id, "url": found.html_url}
        return Receipt(verb=call.verb, facts=facts, matches=not difference, difference=difference)

    def perform(self, call: Call) -> None:
        """Raises TargetError."""
        self.ready(call)
        asked, text = self._text(call)
        path = f"{self._repository.path}/issues/{asked.number}/comments"
        self._repository.client.send(Comment, "POST", path, {"body": text})

    def ready(self, call: Call) -> None:
        """Raises TargetError when the text carries a mark of its own, ConflictError when another gate has written it."""
        asked, _ = self._text(call)
        _, target = parsed(CommentArguments, call, self._repository)
        name = f"{call.change_id}/comment-{asked.number}-{digest_of(asked.body.encode())[7:23]}"
        self._claims.take(name, target.base_commit, lambda: self.find(call) is not None)

    def words(self, call: Call) -> Mapping[str, JsonValue]:
        """`owner`, `repo`, `number`, `body` as it was signed, `marked_body` as it is sent. Raises TargetError."""
        asked, text = self._text(call)
        _, target = parsed(CommentArguments, call, self._repository)
        return {**place(target), "number": asked.number, "body": asked.body, "marked_body": text}

    def settle(self, call: Call) -> None:
        """It is there when it is answered."""

    def _text(self, call: Call) -> tuple[CommentArguments, str]:
        asked, _ = parsed(CommentArguments, call, self._repository)
        if MARK in asked.body:
            raise TargetError(
                "a comment may not carry a mark of its own: take the hidden line out and sign again"
            )
        return asked, f"{_lines(asked.body)}\n\n{MARK} {call.change_id} {digest_of(asked.body.encode())} -->"
