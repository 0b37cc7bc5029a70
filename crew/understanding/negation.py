"""What `without`, `말고` and their like reach: the nearest thing in the same clause, and what is joined to it."""

from __future__ import annotations

from collections import Counter
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
    """`refused` are the marks that are refused, `working` the negations that refused something.

    `twice` are refused by two of them (`must not not be deleted`), `stopped` run and are switched off.
    """

    refused: frozenset[int]
    working: frozenset[int]
    twice: frozenset[int]
    stopped: frozenset[int]


def negations(
    marks: Sequence[Mark], claimed: Iterable[int], blueprints: Mapping[str, Blueprint]
) -> Negations:
    """Read every negation of a goal. `claimed` are marks that are a name or a number of something."""
    reader = _Reader(marks, frozenset(claimed), blueprints)
    refused: Counter[int] = Counter()
    working: set[int] = set()
    stopped: set[int] = set()
    for at, mark in enumerate(marks):
        found: list[int] = []
        if mark.has("after") and not (mark.has("before") and not reader.says(at - 1)):
            found = reader.before(at)
        elif mark.has("before", "not"):
            found = reader.after(at, verbal=mark.has("not"))
        if found:
            working.add(at)
            refused.update(found)
        if mark.has("off"):
            stopped.update(target for target in found if reader.runs(target))
    twice = frozenset(at for at, times in refused.items() if times > 1)
    return Negations(frozenset(refused), frozenset(working), twice, frozenset(stopped))


@dataclass(frozen=True)
class _Reader:
    marks: Sequence[Mark]
    claimed: frozenset[int]
    blueprints: Mapping[str, Blueprint]

    def target(self, at: int) -> bool:
        return 0 <= at < len(self.marks) and (at in self.claimed or self.marks[at].has(*_TARGETS))

    def says(self, at: int) -> bool:
        """Whether it sets a value: `encryption disabled` is about what stands before it, `disabled encryption` is not."""
        return at >= 0 and self.marks[at].has("value") and not self.runs(at)

    def runs(self, at: int) -> bool:
        """Whether it names a thing that is built or runs, rather than a property of one."""
        values = self.marks[at].of("value")
        return self.marks[at].has("concept") or any(
            self.blueprints[s.blueprint].accepts[s.parameter].selects for s in values
        )

    def joins(self, at: int) -> bool:
        """Whether a negation goes on to it: what is a name or a number of something is said for itself."""
        return self.target(at) and at not in self.claimed

    def before(self, at: int) -> list[int]:
        """`EKS나 ArgoCD 없이`, `EKS, ArgoCD 말고`: the thing before, and what is listed with it."""
        found = self._nearest(at, -1)
        if found is None:
            return []
        reached = [found]
        while True:
            first, beside = reached[-1], reached[-1] - 1
            linked = beside >= 0 and (self.marks[beside].particles in _LINKS or self._listed(beside, first))
            if linked and self.joins(beside):
                reached.append(beside)
            elif beside >= 1 and self.marks[beside].has("join") and self.joins(beside - 1):
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
        listed = [found if said is None else said]
        while said is None and self.joins(listed[-1] + 1) and self.marks[listed[-1] + 1].comma:
            listed.append(listed[-1] + 1)
        last = listed[-1] + 1
        joined = last < len(self.marks) and self.marks[last].has("join") and self.joins(last + 1)
        if joined and (not verbal or self._worse(last + 1)):
            return [*listed, last + 1]
        if said is not None:
            return listed
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
        if not self.runs(thing):
            return None
        for at in range(thing + 1, len(self.marks)):
            mark = self.marks[at]
            if mark.comma or mark.has("stop", "break", "join", "concept"):
                return None
            if any(self._unsafe(sense) for sense in mark.of("value")):
                return at
        return None

    def _worse(self, at: int) -> bool:
        """`not public and encrypted` says encrypted; `not public and unencrypted` refuses both."""
        said = self.marks[at].of("value")
        return not said or any(
            unsafe.matches(sense.value)
            for sense in said
            if sense.value is not None
            for unsafe in self.blueprints[sense.blueprint].accepts[sense.parameter].unsafe
        )

    def _unsafe(self, sense: Sense) -> bool:
        return bool(self.blueprints[sense.blueprint].accepts[sense.parameter].unsafe)
