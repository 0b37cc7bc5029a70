"""The request: a person's own signature on one goal of one run. Without it nothing is judged, signed or submitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field
from securesystemslib.signer import CryptoSigner

from policies.change import Digest, Word
from policies.envelope import Statement, Subject, seal, unseal
from policies.refusal import SignoffError
from policies.strict import parse
from policies.trust import SKEW, Instant, KeyId, Trust, moment

REQUEST_TYPE: Final = "https://countersign.dev/request/v1"
_SUBJECT = "goal"


class GoalUnsignedError(SignoffError):
    """Nobody's key signed the goal of this run."""

    advice = "Start the run with `countersign run`, which signs the goal with your key."


class RequesterRoleError(SignoffError):
    """The goal is signed, but not by a key that may ask for changes here."""

    advice = "Look at `countersign keys show`; `countersign keys init` makes a person's key. Then run again."


class RequestMismatchError(SignoffError):
    """The signed goal is another run's, another profile's, or another goal."""

    advice = "Only what a person signed is done: run again with the goal that you mean."


class Request(Word):
    """Who asks says what, for which run, under which profile, and whether only for a rehearsal."""

    goal_digest: Digest = Field(description="sha256 of the goal's text in UTF-8")
    run_id: Annotated[str, Field(min_length=1, max_length=200)]
    profile: str
    rehearsal: bool
    requested_at: Instant


class _RequestStatement(Statement):
    predicateType: Literal["https://countersign.dev/request/v1"] = REQUEST_TYPE  # noqa: N815 - in-toto's own spelling
    predicate: Request


@dataclass(frozen=True)
class SignedRequest:
    """A verified request, the key that asked, and its name, sha256 of the payload."""

    request: Request
    requester: KeyId
    digest: Digest

    def covers(self, *, run_id: str, goal_digest: str) -> None:
        """This is the request of that very run and goal. Raises RequestMismatchError."""
        for name, value in (("run_id", run_id), ("goal_digest", goal_digest)):
            if getattr(self.request, name) != value:
                raise RequestMismatchError(f"the signed goal has another {name}.")


def sign(request: Request, signer: CryptoSigner) -> str:
    """The request as a bundle, canonical JSON text."""
    subject = (Subject.of(_SUBJECT, request.goal_digest),)
    return seal(_RequestStatement(subject=subject, predicate=request), signer).decode()


def verify(
    bundle: str | None, *, trust: Trust, now: datetime, profile: str, rehearsal: bool
) -> SignedRequest:
    """The request in `bundle`, or a SignoffError. `None`: nobody signed the goal."""
    if bundle is None:
        raise GoalUnsignedError("no person's key signed the goal of this run.")
    sealed = unseal(bundle.encode("utf-8", "surrogatepass"), trust)
    what = parse(_RequestStatement, sealed.payload, "the request")
    asked, key = what.predicate, sealed.key
    if what.subject != (Subject.of(_SUBJECT, asked.goal_digest),):
        raise RequestMismatchError("the request's subject is not its goal.")
    if (asked.profile, asked.rehearsal) != (profile, rehearsal):
        kind = "rehearsal" if asked.rehearsal else "real run"
        raise RequestMismatchError(f"the goal was signed for a {kind} under profile {asked.profile}.")
    if "person" not in key.roles or key.rehearsal != asked.rehearsal:
        raise RequesterRoleError(f"key {key.keyid[:12]} may not ask for this as a person.")
    if _at(asked) > now + SKEW:
        raise RequesterRoleError(f"the goal was signed at {asked.requested_at}, which is not yet.")
    if not key.valid(_at(asked)):
        raise RequesterRoleError(f"key {key.keyid[:12]} was not valid at {asked.requested_at}.")
    return SignedRequest(asked, key.keyid, sealed.digest)


def _at(asked: Request) -> datetime:
    try:
        return moment(asked.requested_at)
    except ValueError:
        raise RequestMismatchError(f"there is no moment {asked.requested_at}.") from None
