"""The names under which the gate says no to a call, each with what to do next."""

from __future__ import annotations

from policies.refusal import GateError


class RehearsalMismatchError(GateError):
    """A rehearsal sign-off at a real target, or a real one at the sandbox."""

    advice = "Run against the real target from the start; a rehearsal unlocks nothing there."


class RequesterMismatchError(GateError):
    """Signed off for somebody else than the person whose key signed the goal."""

    advice = "Run again: the notary names the key that signed the goal of this run."


class ProfileMismatchError(GateError):
    """Signed under another profile, or for longer than this one allows."""

    advice = "Run again under the profile that is active now."


class NotIssuedError(GateError):
    """The manifest carries other words than this gate issued under its change_id."""

    advice = "Open a change first and draft with exactly the words that come back."


class DestinationMismatchError(GateError):
    """The live target is not the one that was signed."""

    advice = "Check which repository and cluster the configuration names; to change another one, run again."


class BytesMismatchError(GateError):
    """Subjects, manifest and bytes are not one exact set."""

    advice = "Submit exactly the signed files: no more, no less, no other."


class NotGrantedError(GateError):
    """The sign-off has no such grant."""

    advice = "`signoff_state` lists the grants of a sign-off."


class SpentError(GateError):
    """This grant was used; each is good for one call."""

    advice = "Read its receipt with `signoff_state`."


class OutOfOrderError(GateError):
    """An earlier grant is not done."""

    advice = "Submit the grants in their order, each after the one before it is done."


class PreconditionError(GateError):
    """The target is not yet in the state that the grant was signed for."""

    advice = "Wait for it, then submit again."


class ConfirmationMissingError(GateError):
    """A person must confirm this sign-off and has not."""

    advice = "Answer the launcher's question, or run `countersign show RUN` to see what waits."


class OutOfScopeError(GateError):
    """Clean and signed, and still outside of what the profile lists."""

    advice = "Change the goal, or ask the profile's owner to widen its scope."


class CallMismatchError(GateError):
    """The signed arguments are not what this verb may be called with."""

    advice = "Draft the change again; these arguments can never be submitted."


class BaseMovedError(GateError):
    """The base branch is no longer at the signed commit."""

    advice = "Run again: the change must be judged on the new base."


class UnresolvedError(GateError):
    """An argument refers to bytes or a receipt that do not exist."""

    advice = "Draft the change again with references to its own artifacts and earlier grants."
