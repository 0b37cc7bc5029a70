"""Pull requests of one repository: their range, files, reviews, checks and conversation."""

from __future__ import annotations

from typing import Literal

from policies.approval import GivenReview, ReviewedPull
from tools.github.repository import LiveRepository
from tools.github.shapes import ChangedFile, CheckRun, Comment, Commit, Pull, Review
from tools.verbs import TargetError

_MOST_REVIEWS = 1000


class Pulls:
    """Reads. Every method raises TargetError."""

    def __init__(self, repository: LiveRepository) -> None:
        self._repository = repository
        self._client = repository.client
        self._path = f"{repository.path}/pulls"

    def get(self, number: int) -> Pull:
        """One pull request."""
        return self._client.one(Pull, f"{self._path}/{number}")

    def find(self, head: str, base: str, repository_id: int) -> Pull | None:
        """The pull request from a branch of this very repository (no fork) into `base`: an open one first, then the newest."""
        owner = self._repository.full_name.partition("/")[0]
        asked = {"state": "all", "head": f"{owner}:{head}", "base": base}
        found = [
            pull
            for pull in self._client.many(Pull, self._path, query=asked, most=100)
            if pull.head.ref == head
            and pull.base.ref == base
            and pull.head.repo is not None
            and pull.head.repo.id == repository_id
        ]
        return max(found, key=lambda pull: (pull.state == "open", pull.number), default=None)

    def commits(self, number: int) -> tuple[Commit, ...]:
        """Its commits, oldest first (GitHub lists at most 250)."""
        return self._client.many(Commit, f"{self._path}/{number}/commits", most=250)

    def files(self, number: int) -> tuple[ChangedFile, ...]:
        """What it changes."""
        return self._client.many(ChangedFile, f"{self._path}/{number}/files", most=3000)

    def reviews(self, number: int) -> tuple[Review, ...]:
        """Reviews, oldest first."""
        return self._client.many(Review, f"{self._path}/{number}/reviews", most=_MOST_REVIEWS)

    def reviewed(self, number: int) -> ReviewedPull:
        """It and all its reviews, as they are now."""
        pull, reviews = self.get(number), self.reviews(number)
        if len(reviews) >= _MOST_REVIEWS:  # what is not read could take an approval back
            raise TargetError(f"pull request {number} has too many reviews to read: run again with a new one")
        return ReviewedPull(
            number=pull.number,
            url=pull.html_url,
            author=pull.user.login if pull.user else None,
            head=pull.head.sha,
            base=pull.base.ref,
            state=state_of(pull),
            reviews=tuple(
                GivenReview(login=r.user.login, state=r.state, commit=r.commit_id) for r in reviews if r.user
            ),
        )

    def comments(self, number: int) -> tuple[Comment, ...]:
        """The conversation, oldest first."""
        return self._client.many(Comment, f"{self._repository.path}/issues/{number}/comments", most=1000)

    def checks(self, sha: str) -> tuple[CheckRun, ...]:
        """The checks of a commit."""
        return self._client.many(
            CheckRun, f"{self._repository.path}/commits/{sha}/check-runs", key="check_runs", most=300
        )


def state_of(pull: Pull) -> Literal["open", "closed", "merged"]:
    """What is neither open nor merged was closed."""
    if pull.merged_at:
        return "merged"
    return "open" if pull.state == "open" else "closed"
