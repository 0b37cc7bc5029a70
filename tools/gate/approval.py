"""The approving review that a profile may ask for: asked of GitHub itself, never of whoever says that it is there.

A hint (a webhook's delivery) only wakes the one who waits; what counts is the answer of the next asking.
"""

from __future__ import annotations

from pathlib import Path

from policies import approval, signoff, trust
from policies.approval import Approval, ReviewedPull
from policies.change import Phase, RepositoryTarget, digest_of
from tools.gate.case import Case
from tools.gate.ledger import Ledger
from tools.gate.room import Room
from tools.gate.words import AwaitReview, ReviewState
from tools.tool import ToolRefusedError

PRECONDITION = "review_approved"
_LOOK = 0.25
"""Seconds between two looks at the hint."""


def hint_file(state_dir: Path, full_name: str) -> Path:
    """The file whose change says that something happened to a repository."""
    return state_dir / "hints" / digest_of(full_name.lower().encode()).removeprefix("sha256:")


class Approvals:
    """What is known of this run's approval. Every method raises ToolRefusedError, TargetError or a fault of the journal."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def of(self, case: Case) -> Approval | None:
        """How the grant's approval stands now; None where it waits for none."""
        return self._asked()[0] if PRECONDITION in case.grant.preconditions else None

    def wait(self, asked: AwaitReview) -> ReviewState:
        """Ask, and unless it is settled wait for a hint or for so many seconds, and ask once more."""
        if self._room.profile.approval != "reviewer":
            return ReviewState(state="not_needed", why="the profile asks for no reviewer")
        hint = hint_file(self._room.state_dir, self._place().full_name)
        before = _changed(hint)
        found, pull = self._asked()
        if found.state == "waiting" and asked.seconds:
            waited = 0.0
            while waited < asked.seconds and _changed(hint) == before:
                self._room.sleep(_LOOK)
                waited += _LOOK
            found, pull = self._asked()
        return ReviewState(**found.model_dump(), number=pull.number, url=pull.url)

    def _asked(self) -> tuple[Approval, ReviewedPull]:
        room, ledger, place = self._room, self._room.ledger(), self._place()
        commit, number = ledger.expected_commit, ledger.published("github.open_pull_request", "number")
        repository = room.targets.repository
        if repository is None or commit is None or not isinstance(number, int):
            raise _nothing_to_review()
        pull = repository.reviewed(number)
        found = approval.standing(
            pull, commit, place.base_branch, room.profile.may_approve, never=self._requesters(ledger)
        )
        told = {"number": number, "commit": commit, **found.model_dump(mode="json")}
        if told != ledger.review:
            room.append("review", told)
        return found, pull

    def _place(self) -> RepositoryTarget:
        """Where this run publishes, as the gate resolved it when it opened the change."""
        for opened in self._room.ledger().opened.values():
            if opened.phase is Phase.PUBLISH and opened.destination.repository is not None:
                return opened.destination.repository
        raise _nothing_to_review()

    def _requesters(self, ledger: Ledger) -> tuple[str, ...]:
        """Owners of the keys that asked for the goal, where keys did; whoever asks does not approve."""
        known = trust.load(self._room.state_dir / "trust.json")
        bundles = [
            self._room.content.read(k.bundle).decode() for k in ledger.live() if k.phase is Phase.PUBLISH
        ]
        asked_by = {
            signoff.read(bundle, trust=known, required_roles=("security",)).predicate.requester
            for bundle in bundles
        }
        return tuple(key.owner for key in known.keys if key.keyid in asked_by)


def _nothing_to_review() -> ToolRefusedError:
    message = "this run published no pull request that could be approved."
    return ToolRefusedError("nothing-to-review", message, "Publish first, then wait for the review.")


def _changed(hint: Path) -> int:
    try:
        return hint.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
