"""Names and numbers find what they name and count; misspelt words become what they must have meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crew.understanding.lexicon import Kind, Sense
from crew.understanding.scanning import IMAGE, Mark
from knowledge.blueprint import Blueprint

_LOOK = 5
_KNOWN = 2
_WHERE = frozenset({"에", "에서", "에는", "에다", "에다가", "위에", "위에서", "상에", "안에"})
_PASSED: tuple[Kind, ...] = ("light", "also", "value", "filler", "concept", "place", "before", "not", "after")
"""What may stand between a number and what it counts."""


@dataclass(frozen=True)
class Claim:
    """Words that give a parameter a value. `senses` are the (blueprint, parameter, value) that they can mean."""

    at: int
    senses: tuple[Sense, ...]
    words: str
    factor: int = 1


@dataclass
class Binder:
    """Reads the marks once; `used` are the marks that a claim has taken."""

    marks: list[Mark]
    blueprints: Mapping[str, Blueprint]
    used: set[int]
    claims: list[Claim]

    @classmethod
    def over(cls, marks: Sequence[Mark], blueprints: Mapping[str, Blueprint]) -> Binder:
        """Bind names, then read misspelt words, then bind numbers."""
        binder = cls(list(marks), blueprints, set(), [])
        binder._names()
        binder._guesses()
        binder._images()
        binder._numbers()
        return binder

    # -- names -------------------------------------------------------------------------------------------------

    def _names(self) -> None:
        for at, mark in enumerate(self.marks):
            senses = tuple(s for s in mark.of("noun") if self._type(s) in {"name", "image"})
            if senses and at not in self.used:
                self._named(at, senses)
        for at, mark in enumerate(self.marks):
            if mark.has("naming") and at not in self.used:
                self._naming(at)

    def _type(self, sense: Sense) -> str:
        return self.blueprints[sense.blueprint].accepts[sense.parameter].type

    def _named(self, at: int, senses: tuple[Sense, ...]) -> None:
        before, after = self._before(at), self._after(at)
        choices = [
            (self._rank(index, senses), side, index)
            for side, index in enumerate((before, after))
            if index is not None
        ]
        choices = [c for c in choices if c[0] < _KNOWN or self._touching(c[2], at)]
        if choices:
            _, _, index = min(choices)
            self._claim(index, senses, {at, index, *range(min(at, index), max(at, index) + 1)})

    def _rank(self, index: int, senses: tuple[Sense, ...]) -> int:
        """A value of that very parameter (`nginx 이미지`), then a word that means nothing else, then any other."""
        parameters = {(s.blueprint, s.parameter) for s in senses}
        if any((s.blueprint, s.parameter) in parameters for s in self.marks[index].of("value")):
            return 0
        return 1 if self._fresh(index) else _KNOWN

    def _fresh(self, index: int) -> bool:
        """A word that means nothing else, or that stands in quotes."""
        return self.marks[index].quoted or not self.marks[index].senses

    def _touching(self, index: int, at: int) -> bool:
        return abs(index - at) == 1 or (abs(index - at) == 2 and self.marks[(index + at) // 2].has("naming"))

    def _before(self, at: int) -> int | None:
        index = at - 1
        if index >= 0 and self.marks[index].has("naming"):
            index -= 1
        particles = self.marks[index].particles if index >= 0 else ""
        linked = index < at - 1 or particles in {"", "이", "이란", "란", "의"}
        return index if index >= 0 and linked and self._could_name(index) else None

    def _after(self, at: int) -> int | None:
        for index in range(at + 1, min(at + _LOOK, len(self.marks))):
            if self._could_name(index) and not (
                self.marks[index].has("light") and not self.marks[index].quoted
            ):
                return index
            if not self.marks[index].has("light", "naming"):
                return None
        return None

    def _could_name(self, index: int) -> bool:
        mark = self.marks[index]
        plain = (
            not mark.senses
            or mark.quoted
            or mark.has("concept", "also", "value", "control")
            or mark.has("filler")
        )
        return (
            bool(mark.word)
            and index not in self.used
            and plain
            and (not mark.has("filler") or mark.quoted or self._ascii(mark))
        )

    @staticmethod
    def _ascii(mark: Mark) -> bool:
        """Fillers such as `dev` and `prod` can be names; `with` and `it` never are."""
        return mark.word in {
            "default",
            "dev",
            "prod",
            "production",
            "staging",
            "development",
            "test",
            "testing",
            "platform",
            "team",
            "system",
            "infra",
        }

    def _naming(self, at: int) -> None:
        """`named X` names what stands before it, `X라는` what comes after it."""
        korean = not self.marks[at].text.isascii()
        index = at - 1 if korean else self._after(at)
        if index is None or index < 0 or not self._could_name(index):
            return
        targets = range(at + 1, min(at + _LOOK, len(self.marks))) if korean else range(at - 1, -1, -1)
        namable = [name for name, blueprint in self.blueprints.items() if "name" in blueprint.accepts]
        wanted = next((self._owners(t) for t in targets if self._owners(t)), None) or namable
        senses = tuple(Sense("noun", name, "name") for name in namable if name in wanted)
        self._claim(index, senses, {index, at})

    def _owners(self, index: int) -> list[str]:
        return [
            s.blueprint
            for s in self.marks[index].senses
            if s.kind in {"concept", "also"} or (s.kind == "value" and s.parameter == "image")
        ]

    def _claim(self, index: int, senses: tuple[Sense, ...], taken: set[int]) -> None:
        mark = self.marks[index]
        name = mark.word.strip("-._")
        senses = tuple(replace(s, kind="value", value=name) for s in senses)
        words = (
            self.marks[min(taken)].text
            if len(taken) == 1
            else " ".join(self.marks[i].text for i in sorted(taken))
        )
        self.claims.append(Claim(index, senses, words))
        self.used |= taken

    # -- misspelt words and image references -------------------------------------------------------------------

    def _guesses(self) -> None:
        for at, mark in enumerate(self.marks):
            if not mark.senses and mark.guess and at not in self.used:
                self.marks[at] = replace(mark, senses=mark.guess)

    def _images(self) -> None:
        for at, mark in enumerate(self.marks):
            if mark.senses or at in self.used or not IMAGE.fullmatch(mark.word):
                continue
            senses = tuple(
                Sense("value", name, parameter, mark.word)
                for name, blueprint in self.blueprints.items()
                for parameter, spec in blueprint.accepts.items()
                if spec.type == "image" and spec.selects
            )
            self._claim(at, senses, {at})

    # -- numbers -----------------------------------------------------------------------------------------------

    def _numbers(self) -> None:
        for at, mark in enumerate(self.marks):
            following = self._mark(at + 1)
            counts = following is not None and (
                following.has("counter", "unit") or bool(self._integers(following))
            )
            if mark.has("number") and at not in self.used and (counts or not mark.has("stem", "filler")):
                self._counted(at, mark.of("number")[0].number)

    def _counted(self, at: int, number: int) -> None:
        following = self._mark(at + 1)
        if following and following.has("counter") and not following.has("unit"):
            found = (
                self._noun(at - 1, -1)
                or self._noun(at + 2, 1)
                or self._owner(at - 1, -1)
                or self._owner(at + 2, 1)
            )
            taken = {at, at + 1}
        elif following and (following.has("unit") or self._integers(following)):
            found, taken = (at + 1, following.of("unit") or self._integers(following)), {at, at + 1}
        else:
            found = (
                self._noun(at - 1, -1)
                or self._noun(at + 1, 1)
                or self._owner(at + 1, 1)
                or self._owner(at - 1, -1)
            )
            taken = {at}
        if found is None:
            return
        target, senses = found
        values = tuple(replace(s, kind="value", value=number * (s.number or 1)) for s in senses)
        words = " ".join(self.marks[i].text for i in sorted({*taken, target}))
        self.claims.append(Claim(at, values, words))
        self.used |= taken | (
            {target} if self._integers(self.marks[target]) or self.marks[target].has("unit") else set()
        )

    def _mark(self, at: int) -> Mark | None:
        return self.marks[at] if 0 <= at < len(self.marks) and at not in self.used else None

    def _integers(self, mark: Mark) -> tuple[Sense, ...]:
        return tuple(s for s in mark.of("noun") if self._type(s) == "integer")

    def _noun(self, at: int, step: int) -> tuple[int, tuple[Sense, ...]] | None:
        """The counted noun nearby: `replicas: 3`, `3 nginx pods`."""
        for _ in range(_LOOK):
            mark = self._mark(at)
            if mark is None:
                return None
            if integers := self._integers(mark):
                return at, integers
            passing = (
                ("light", "existing", "filler")
                if step < 0
                else ("light", "concept", "also", "value", "place", "existing")
            )
            if not mark.has(*passing) and not (step > 0 and mark.has("filler")):
                return None
            at += step
        return None

    def _owner(self, at: int, step: int) -> tuple[int, tuple[Sense, ...]] | None:
        """What a bare number counts: the countable blueprint that is named beside it; `EKS에` only says where."""
        for _ in range(2 * _LOOK):
            if not 0 <= at < len(self.marks):
                return None
            mark = self.marks[at]
            counted = tuple(
                Sense("noun", name, by, number=1)
                for name in dict.fromkeys(self._owners(at))
                if (by := self.blueprints[name].counted_by)
            )
            if counted and mark.particles not in _WHERE:
                return at, counted
            if at not in self.used and not mark.has(*_PASSED):
                return None
            at += step
        return None
