"""What the gate can do to a target: a verb looks for its effect, performs it, and nothing else.

A verb never decides. It gets a Call, whose arguments a Permit unlocked, and either finds that the
effect is there already or makes it with create-only semantics where the target has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pydantic import Field, JsonValue

from policies.change import Destination, Word


def unhindered() -> None:
    """What is asked before a request that changes a target, where nobody may stop it."""


class Call(Word):
    """One permitted call: references to artifacts and receipts are already resolved in `arguments`.

    An `{"$artifact": PATH}` in the grant is `{"path": PATH, "digest": DIGEST}` here, its bytes in `content`.
    """

    change_id: str
    verb: str
    destination: Destination
    arguments: Mapping[str, JsonValue]
    effect_key: str
    content: Mapping[str, bytes]
    signed: str | None = Field(
        default=None,
        description="RFC 3339, UTC: since when its sign-off counts; what another change made later is not undone",
    )


class Receipt(Word):
    """The state read back from the target. `matches` is False when it differs from what was signed."""

    verb: str
    facts: Mapping[str, JsonValue]
    matches: bool = True
    difference: str = ""


class Verb(Protocol):
    """One mutating call of a target, named `server.verb`."""

    def find(self, call: Call) -> Receipt | None:
        """Read the target: the receipt of the effect, or None when it never happened. Raises TargetError."""

    def perform(self, call: Call) -> None:
        """Make the effect once. Raises TargetError; after any error the gate reads again by `find`."""


class Way(Protocol):
    """What the gate keeps to itself of a verb that another's server performs: the looks before and after, and the words.

    The server is handed what `words` says and nothing else; it never says itself what it did.
    """

    def find(self, call: Call) -> Receipt | None:
        """As a verb's."""

    def ready(self, call: Call) -> None:
        """Look, with our own client, whether the call may be made now. Raises TargetError."""

    def words(self, call: Call) -> Mapping[str, JsonValue]:
        """Name -> value that an adapter may put into a tool's arguments. Touches nothing. Raises TargetError."""

    def settle(self, call: Call) -> None:
        """Wait until the effect can be read. Raises TargetError."""


class TargetError(Exception):
    """A target said no or nothing. The message says what to do next; it never holds a credential."""


class UnauthorizedError(TargetError):
    """401: the credential is missing, wrong or expired."""


class ForbiddenError(TargetError):
    """403: the credential may not do this, or an admission rule refused it."""


class NotFoundError(TargetError):
    """404, or a repository that this credential cannot see."""


class ConflictError(TargetError):
    """409 or 422: the target moved since it was signed, or another owner holds the field."""


class RateLimitedError(TargetError):
    """429 or 403 with a rate-limit header; `retry_after` in seconds when the target said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnreachableError(TargetError):
    """No answer within the deadline, or no connection: the effect is unknown until `find` has looked."""
