"""Other people's signatures on a kept sign-off: verified here, kept with it, and asked for again at every call."""

from __future__ import annotations

from policies.gate import Facts
from tools.gate import states
from tools.gate.ledger import Deposited, Ledger
from tools.gate.room import Room, issued_words
from tools.gate.words import Cosign, SignoffState
from tools.tool import ToolRefusedError


def cosign(room: Room, given: Cosign) -> SignoffState:
    """Keep one more person's signature. The same key twice is kept once.

    Raises ToolRefusedError, GateError, TargetError or a fault of the journal.
    """
    ledger = room.ledger()
    kept = states.known(ledger, given.signoff)
    keyid = room.gate().cosign(given.bundle, room.evidence(kept), _facts(room, ledger, kept))
    if keyid not in ledger.cosigned.get(kept.signoff, {}):
        if not states.signoff_state(room, ledger, kept.signoff).unsigned_by:
            message = f"sign-off {given.signoff[:19]} has every signature that it needs."
            raise ToolRefusedError("nothing-waits", message, "`pending` lists what waits.")
        bundle = room.content.keep(given.bundle.encode())
        room.content.sync()
        room.append("cosigned", {"signoff": kept.signoff, "keyid": keyid, "bundle": bundle})
    return states.signoff_state(room, room.ledger(), kept.signoff)


def _facts(room: Room, ledger: Ledger, kept: Deposited) -> Facts:
    opened = ledger.opened[kept.change_id]
    cluster = opened.destination.cluster
    live = room.targets.resolve(namespaces=cluster.namespaces if cluster else (), cluster=cluster is not None)
    gone = ledger.superseded | {s: f"refused by {who}" for s, who in ledger.refused.items()}
    return Facts(room.clock(), issued_words(opened), live, revoked=gone)
