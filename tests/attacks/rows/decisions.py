"""The ways in to the decision point, from its own tables: a permit that should not exist is carried out, and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from policies.gate import GateError
from tests.attacks.auditor import Effect
from tests.attacks.corpus import Attack, Kind, Told
from tests.attacks.signoff import test_ways_in as ways
from tests.attacks.stage import Stage
from tests.fakes.signed import Case
from tests.unit.base.signoff.test_request import AT_THE_GATE

_SHAPES = frozenset({"malformed", "not-canonical", "unknown-shape", "oversize"})
_TABLES = (
    (ways.ENVELOPE, Kind.APPROVAL, "the bundle, edited"),
    (ways.KEYS, Kind.APPROVAL, "a signature that does not count"),
    (ways.STATEMENT, Kind.APPROVAL, "the statement, edited under a good signature"),
    (ways.PLACE, Kind.APPROVAL, "the sign-off used elsewhere"),
    (ways.BYTES, Kind.APPROVAL, "bytes, manifest or subjects, edited"),
    (ways.GRANT, Kind.RACE, "a grant out of its turn"),
)


def reasons() -> dict[str, str]:
    """Refusal -> what it means, in the words of its class."""
    found, queue = {}, list(GateError.__subclasses__())
    while queue:
        kind = queue.pop()
        queue += kind.__subclasses__()
        found[kind("").name] = (kind.__doc__ or "").split("\n")[0].rstrip(".")
    return found


def decided(make: Callable[[], Case]) -> Callable[[Stage], Told]:
    """Ask the gate; whoever gets a permit uses it."""

    def act(stage: Stage) -> Told:
        try:
            permit = make().ask()
        except GateError as no:
            return Told((no.name,))
        stage.auditor.seen.append(
            Effect(permit.grant.server, "CALL", permit.grant.verb, {}, permit.arguments)
        )
        return Told(applied=True)

    return act


def attacks() -> Iterator[Attack]:
    """Every row of tests/attacks/signoff."""
    why = reasons()
    for table, kind, about in _TABLES:
        for name, edit, expected in table:
            of = Kind.SMUGGLING if expected in _SHAPES else kind
            said = f"{about}: {name.replace('-', ' ')}"
            yield Attack(name, of, said, expected, why[expected], decided(lambda e=edit: e(Case.publish())))
    for name, edit, expected in AT_THE_GATE:
        said = f"the person's own signature on the goal: {name.replace('-', ' ')}"
        yield Attack(
            name, Kind.APPROVAL, said, expected, why[expected], decided(lambda e=edit: e(Case.publish()))
        )
    no = "call-mismatch"
    for name, make in ways.CALLS:
        yield Attack(
            name, Kind.SMUGGLING, f"signed arguments: {name.replace('-', ' ')}", no, why[no], decided(make)
        )
    for name, body in ways.OBJECTS:
        said = f"a signed object: {name.replace('-', ' ')}"
        yield Attack(
            f"object-{name}", Kind.SCOPE, said, no, why[no], decided(lambda b=body: ways.deployed(b))
        )
