"""Whether a pull request is approved: by an allowed person, on the very commit that was signed. Decides, reads nothing.

Each person's last word counts; a remark is none. A new commit, another base branch and a closed pull request void
everything; a dismissed approval counts no more, and a standing request for changes holds back what others approved.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from policies.change import CommitSha, Phase, Word
from policies.profile import Profile

_NO_WORD = frozenset({"COMMENTED", "PENDING"})


class GivenReview(Word):
    """One review as GitHub lists it: who, what, on which commit."""

    login: str
    state: str
    commit: str | None


class ReviewedPull(Word):
    """A pull request with its reviews, oldest first."""

    number: int
    url: str
    author: str | None
    head: CommitSha
    base: str
    state: Literal["open", "closed", "merged"]
    reviews: tuple[GivenReview, ...]


class Approval(Word):
    """`waiting` may still become approved; `void` never does. `why` says what is missing, or who approved."""

    state: Literal["approved", "waiting", "void"]
    by: tuple[str, ...] = ()
    why: str


def needed(profile: Profile, phase: Phase, grant: str) -> bool:
    """Whether a call of that phase waits for an approving review: everything after publish, but a remark."""
    return profile.approval == "reviewer" and phase is not Phase.PUBLISH and grant != "github.comment"


def standing(
    pull: ReviewedPull, commit: str, base: str, approvers: Collection[str], never: Collection[str]
) -> Approval:
    """How `commit` stands for `base`. Logins are compared as GitHub does, without case; `never` and the author do not count."""
    if pull.head != commit:
        return Approval(state="void", why=f"its head is {pull.head}, not the signed {commit}")
    if pull.base != base:
        return Approval(state="void", why=f"it goes into {pull.base}, not into {base}")
    if pull.state == "closed":
        return Approval(state="void", why="it was closed without a merge")
    excluded = {login.lower() for login in (*never, *filter(None, [pull.author]))}
    allowed = {login.lower() for login in approvers} - excluded
    if not allowed:
        return Approval(state="void", why="nobody whom the profile allows is left to approve it")
    last = {
        review.login.lower(): review
        for review in pull.reviews
        if review.login.lower() in allowed and review.state not in _NO_WORD
    }
    against = [review.login for review in last.values() if review.state == "CHANGES_REQUESTED"]
    if against:
        return Approval(state="waiting", why=f"{', '.join(against)} asked for changes")
    by = tuple(r.login for r in last.values() if r.state == "APPROVED" and r.commit == commit)
    if by:
        return Approval(state="approved", by=by, why=f"{', '.join(by)} approved {commit}")
    return Approval(
        state="waiting", why=f"no approving review of {commit[:12]} by {' or '.join(sorted(allowed))} yet"
    )
