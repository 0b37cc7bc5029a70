"""What `without`, `말고` and their like reach: the nearest thing in the same clause, and what is joined to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crew.understanding.lexicon import Kind, Sense
from crew.understanding.scanning import Mark
from knowledge.blueprint import Blueprint

_TARGETS: tuple[Kind, ...] = ("concept", "value", "control", "destructive")
_ENDS: tuple[Kind, ...] = ("stop", "break")
_LINKS = frozenset({"나", "이나", "랑", "이랑", "와", "과", "하고", "도"})


@dataclass(frozen=True)
class Negations:
    """`refused` are the marks that are refused, `working` the negations that refused something."""

    refused: frozenset[int]
    working: frozenset[int]


def negations(
    marks: Sequence[Mark], claimed: Iterable[int], blueprints: Mapping[str, Blueprint]
) -> Negations:
    """Read every negation of a goal. `claimed` are marks that are a name or a number of something."""
    reader = _Reader(marks, frozenset(claimed), blueprints)
    refused: set[int] = set()
    working: set[int] = set()
    for at, mark in enumerate(marks):
        found: list[int] = []
        if mark.has("after"):
            found = reader.before(at)
        elif mark.has("before", "not"):
            found = reader.after(at, verbal=mark.has("not"))
        if found:
            working.add(at)
            refused.update(found)
    return Negations(frozenset(refused), frozenset(working))


@dataclass(frozen=True)
class _Reader:
    marks: Sequence[Mark]
    claimed: frozenset[int]
    blueprints: Mapping[str, Blueprint]

    def target(self, at: int) -> bool:
        return 0 <= at < len(self.marks) and (at in self.claimed or self.marks[at].has(*_TARGETS))

    def before(self, at: int) -> list[int]:
        """`EKS나 ArgoCD 없이`, `EKS, ArgoCD 말고`: the thing before, and what is listed with it."""
        found = self._nearest(at, -1)
        if found is None:
            return []
        reached = [found]
        while True:
            first, beside = reached[-1], reached[-1] - 1
            linked = beside >= 0 and (self.marks[beside].particles in _LINKS or self._listed(beside, first))
            if linked and self.target(beside):
                reached.append(beside)
            elif beside >= 1 and self.marks[beside].has("join") and self.target(beside - 1):
                reached.append(beside - 1)
            else:
                return reached

    def _listed(self, one: int, other: int) -> bool:
        """`EKS, ArgoCD 말고`: two blueprints with a comma and no particle between; `버킷, 공개는` starts a clause."""
        bare = not self.marks[one].particles and self.marks[other].particles not in {"은", "는"}
        korean = not self.marks[other + 1].text.isascii()
        return (
            bare
            and korean
            and self.marks[other].comma
            and all(self.marks[at].has("concept") for at in (one, other))
        )

    def after(self, at: int, *, verbal: bool) -> list[int]:
        """`without EKS, S3 or ArgoCD`; `do not run nginx as root` refuses root, not nginx."""
        found = self._nearest(at, 1)
        if found is None:
            return []
        said = self._said_of(found) if verbal else None
        if said is not None:
            return [said]
        listed = [found]
        while self.target(listed[-1] + 1) and self.marks[listed[-1] + 1].comma:
            listed.append(listed[-1] + 1)
        last = listed[-1] + 1
        joined = last < len(self.marks) and self.marks[last].has("join") and self.target(last + 1)
        if joined:
            return [*listed, last + 1]
        return listed if last >= len(self.marks) or self.marks[last].has("stop") else [found]

    def _nearest(self, at: int, step: int) -> int | None:
        at += step
        while 0 <= at < len(self.marks):
            if self.target(at):
                return at
            if self.marks[at].has(*_ENDS):
                return None
            at += step
        return None

    def _said_of(self, thing: int) -> int | None:
        if not self._selects(self.marks[thing]):
            return None
        for at in range(thing + 1, len(self.marks)):
            mark = self.marks[at]
            if mark.comma or mark.has("stop", "break", "join", "concept"):
                return None
            if any(self._unsafe(sense) for sense in mark.of("value")):
                return at
        return None

    def _selects(self, mark: Mark) -> bool:
        values = mark.of("value")
        return mark.has("concept") or any(
            self.blueprints[s.blueprint].accepts[s.parameter].selects for s in values
        )

    def _unsafe(self, sense: Sense) -> bool:
        return bool(self.blueprints[sense.blueprint].accepts[sense.parameter].unsafe)
