"""The ways of a taken crew process, from its own table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.attacks.corpus import Attack, Kind, Told
from tests.attacks.gate import test_taken_crew as crew
from tests.attacks.stage import Stage

WHY = "the kernel holds the walls: Landlock, seccomp, no capabilities, processes that are not dumpable"


def _act(code: str) -> Callable[[Stage], Told]:
    def act(stage: Stage) -> Told:
        said = crew.attempt(stage.taken(), code)
        return Told(("denied",) if said.startswith("denied") and crew.SECRET not in said else ())

    return act


def attacks() -> Iterator[Attack]:
    """Every row of tests/attacks/gate."""
    for name, code in crew.ATTACKS:
        yield Attack(f"taken-{name.replace(' ', '-')}", Kind.TAKEN, name, "denied", WHY, _act(code))
