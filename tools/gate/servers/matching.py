"""A raw call of another's tool -> the grants of one live sign-off that it may spend.

Comparing chooses only; what is sent is filled anew from the Permit, so that a slip here could not change a byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from policies.change import Digest, Operation, canonical, digest_of
from policies.gate import GateError, resolved
from tools.gate.case import Case
from tools.gate.room import Room
from tools.gate.servers import filling
from tools.gate.servers.adapter import Does
from tools.tool import ToolRefusedError
from tools.verbs import Call, TargetError, Way


def grants(room: Room, does: Does, way: Way, arguments: Mapping[str, Any]) -> list[tuple[Digest, int]]:
    """(sign-off, seq) of each document of the call, in the grants' order: the next undone ones of one sign-off, and all of them.

    Raises ToolRefusedError: `arguments-refused`, `no-grant`, `spent`.
    """
    wanted = [canonical(each) for each in filling.apart(does, arguments)]
    used = False
    for cases in _live(room):
        allowed = [_allowed(case, does, way) for case in cases]
        undone = [n for n, case in enumerate(cases) if case.spending.effect is None]
        following = undone[: len(wanted)]
        if Counter(allowed[n] for n in following) == Counter(wanted):
            return [(cases[n].kept.signoff, cases[n].grant.seq) for n in following]
        used |= all(each in allowed for each in wanted)
    told = digest_of(b"".join(wanted))[7:19]
    if used:
        message = (
            f"{does.tool}: a grant for exactly this is spent, or is not the next of its sign-off ({told})."
        )
        raise ToolRefusedError(
            "grant-not-next", message, "Read `signoff_state`; grants are used once, in their order."
        )
    message = f"{does.tool}: no live sign-off grants {does.verb} with exactly these {len(wanted)} payloads ({told})."
    raise ToolRefusedError(
        "no-grant", message, "Have the change judged and signed first; then this call is the same."
    )


def _live(room: Room) -> list[list[Case]]:
    """The grants of each sign-off that was not superseded. Whether it still counts, the gate says when one is submitted."""
    found = []
    for kept in room.ledger().live():
        change = room.change(kept)
        found.append([Case(room, kept, change, grant) for grant in change.grants])
    return found


def _allowed(case: Case, does: Does, way: Way) -> bytes | None:
    """The canonical arguments that a grant allows of this tool; None when it is for another verb or cannot be carried."""
    if case.grant.name != does.verb:
        return None
    receipts = {
        each.grant.seq: each.spending.facts
        for each in case.earlier()
        if each.spending.state(each.grant) == "done"
    }
    present = {a.path: a.digest for a in case.change.artifacts if a.operation is not Operation.DELETE}
    try:
        arguments = resolved(dict(case.grant.arguments), case.grant.seq, present, receipts)
        call = Call(
            change_id=case.change.change_id,
            verb=case.grant.name,
            destination=case.change.destination,
            arguments=arguments,
            effect_key=case.grant.effect_key,
            content=case.room.evidence(case.kept).content,
        )
        return canonical(filling.asked(does, way, call))
    except (GateError, TargetError):
        return None
