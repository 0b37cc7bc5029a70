"""What `without`, `말고` and their like reach: the nearest thing in the same clause, and what is joined to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from crew.understanding.lexicon import Kind
from crew.understanding.scanning import Mark

_TARGETS: tuple[Kind, ...] = ("concept", "value", "control", "destructive")
_ENDS: tuple[Kind, ...] = ("stop", "break")


def negated_marks(marks: Sequence[Mark], claimed: Iterable[int]) -> tuple[set[int], set[int]]:
    """(indexes of the marks that are refused, indexes of the negations that refused something)."""
    claims = set(claimed)

    def target(at: int) -> bool:
        return at in claims or marks[at].has(*_TARGETS)

    refused: set[int] = set()
    working: set[int] = set()
    for at, mark in enumerate(marks):
        step = 1 if mark.has("before") else -1 if mark.has("after") else 0
        found = _nearest(marks, at, step, target) if step else None
        if found is None:
            continue
        working.add(at)
        refused.add(found)
        while (joined := _joined(marks, found, step, target)) is not None:
            refused.add(joined)
            found = joined
    return refused, working


def _nearest(marks: Sequence[Mark], at: int, step: int, target: Callable[[int], bool]) -> int | None:
    at += step
    while 0 <= at < len(marks):
        if target(at):
            return at
        if marks[at].has(*_ENDS):
            return None
        at += step
    return None


def _joined(marks: Sequence[Mark], at: int, step: int, target: Callable[[int], bool]) -> int | None:
    """`EKS and ArgoCD`, `EKS나 ArgoCD`: the thing that is joined to this one with nothing else between."""
    beside = at + step
    if step < 0 and 0 <= beside and marks[beside].particles in {"나", "이나", "랑", "이랑", "와", "과", "하고"} and target(beside):
        return beside
    if 0 <= beside < len(marks) and marks[beside].has("join") and 0 <= beside + step < len(marks) and target(beside + step):
        return beside + step
    return None
