"""understand(): a goal in Korean, English or both, to blueprints with typed parameters, or to what was not understood.

Every word must be known: a goal of which a part is not understood is not half done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from crew.understanding.binding import Binder, Claim
from crew.understanding.lexicon import Lexicon, Sense
from crew.understanding.negation import negated_marks
from crew.understanding.scanning import Mark, folded, scan
from crew.understanding.text import checked, language_of
from knowledge.blueprint import Blueprint, BlueprintFaultError, Parameter, Parameters, Value, complete
from policies.change import Word

Language = Literal["ko", "en"]


class ChosenBlueprint(Word):
    """One blueprint of a goal. `asks_for` are rules that the person's own words break."""

    blueprint: str
    reason: str
    explicit: bool = Field(description="False for one that comes along with another")
    parameters: Parameters
    asks_for: tuple[str, ...] = ()


class Understanding(Word):
    """What a goal means. Act on it only when it is `clear`."""

    language: Language
    chosen: tuple[ChosenBlueprint, ...] = ()
    not_understood: tuple[str, ...] = Field(default=(), description="fragments of the goal, or why the whole cannot be done")
    nearest: tuple[str, ...] = Field(default=(), description="blueprints that come nearest")
    destructive: str | None = Field(default=None, description="the words that ask to destroy or to go round a guard")
    accepted_goal: str = Field(default="", description="a goal that asks for the same without what is unsafe")

    @property
    def clear(self) -> bool:
        """Whether there is something to do, all of it is understood, and nothing of it destroys."""
        return bool(self.chosen) and not self.not_understood and self.destructive is None

    @property
    def asks_for(self) -> tuple[str, ...]:
        """Every rule that the person's own words break."""
        return tuple(dict.fromkeys(rule for chosen in self.chosen for rule in chosen.asks_for))

    @property
    def understood(self) -> tuple[str, ...]:
        """One line for each blueprint and each value that the person gave."""
        lines = []
        for chosen in self.chosen:
            lines.append(f"{chosen.blueprint} ({chosen.reason})")
            lines += [f"{chosen.blueprint}.{c.name} = {c.value} ({c.reason})" for c in chosen.parameters.chosen if c.explicit]
        return tuple(lines)


def understand(goal: str, blueprints: Mapping[str, Blueprint]) -> Understanding:
    """Read one goal. Deterministic. Raises GoalFaultError for a text that is no goal at all."""
    text = folded(checked(goal))
    language: Language = "ko" if language_of(text) == "ko" else "en"
    binder = Binder.over(scan(text, Lexicon.of(blueprints)), blueprints)
    return _Reading(language, binder, blueprints).result()


@dataclass
class _Reading:
    language: Language
    binder: Binder
    blueprints: Mapping[str, Blueprint]
    marks: list[Mark] = field(init=False)
    refused: set[int] = field(init=False)
    used: set[int] = field(init=False)
    chosen: dict[str, list[int]] = field(default_factory=dict)
    given: dict[str, dict[str, Value]] = field(default_factory=lambda: defaultdict(dict))
    reasons: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.marks, self.used = self.binder.marks, set(self.binder.used)
        self.refused, working = negated_marks(self.marks, [claim.at for claim in self.binder.claims])
        self.used |= working

    def result(self) -> Understanding:
        destructive = self._destructive()
        self._choose()
        for claim in self._all_claims():
            self._assign(claim)
        unknown = self._left_over()
        parameters = self._complete()
        missing = self._missing()
        if not self.chosen and not unknown and not self.faults:
            unknown = [self._whole()]
        chosen = tuple(self._chosen(name, values) for name, values in parameters.items())
        faults = (*unknown, *dict.fromkeys(self.faults), *missing)
        return Understanding(
            language=self.language,
            chosen=chosen,
            not_understood=tuple(faults),
            nearest=self._nearest() if faults or destructive else (),
            destructive=destructive,
            accepted_goal=self._accepted(chosen) if chosen else "",
        )

    # -- what may never be guessed -----------------------------------------------------------------------------

    def _destructive(self) -> str | None:
        for at, mark in enumerate(self.marks):
            asked = mark.has("destructive") and at not in self.refused
            bypass = mark.has("control") and at in self.refused
            if asked or bypass:
                around = [m.text for m in self.marks[max(0, at - 1) : at + 2] if not m.has("stop")]
                return " ".join(around)
        return None

    # -- which blueprints --------------------------------------------------------------------------------------

    def _choose(self) -> None:
        for at, mark in enumerate(self.marks):
            concepts = mark.of("concept")
            if concepts and at not in self.refused and at not in self.binder.used:
                if self._exists(at):
                    self.used.add(at)
                else:
                    self._choose_one(concepts[0].blueprint, at)
            elif concepts:
                self.used.add(at)
        for claim in self._all_claims():
            for sense in claim.senses:
                if claim.at not in self.refused and self.blueprints[sense.blueprint].accepts[sense.parameter].selects:
                    self._choose_one(sense.blueprint, claim.at)
        for name in tuple(self.chosen):
            for other in self.blueprints[name].brings:
                if self._refuses(other):
                    self.faults.append(f"{name} needs {other}, which the goal refuses")
                self.chosen.setdefault(other, [])
        self.chosen = {name: self.chosen[name] for name in self._in_order()}

    def _in_order(self) -> list[str]:
        """Each after what it requires."""
        order: list[str] = []
        for name in self.chosen:
            order += [n for n in (*self.blueprints[name].requires, name) if n in self.chosen and n not in order]
        return order

    def _choose_one(self, name: str, at: int) -> None:
        self.chosen.setdefault(name, []).append(at)
        self.used.add(at)

    def _exists(self, at: int) -> bool:
        """`our existing EKS cluster`: a place, not a thing to make."""
        before = [mark for mark in self.marks[max(0, at - 3) : at] if not mark.has("light")]
        return any(mark.has("existing") for mark in before[-2:])

    def _refuses(self, name: str) -> bool:
        return any(sense.blueprint == name for at in self.refused for sense in self.marks[at].of("concept"))

    # -- which values ------------------------------------------------------------------------------------------

    def _all_claims(self) -> list[Claim]:
        plain = [
            Claim(at, mark.of("value"), mark.text)
            for at, mark in enumerate(self.marks)
            if mark.has("value") and at not in self.binder.used
        ]
        return sorted([*self.binder.claims, *plain], key=lambda claim: claim.at)

    def _assign(self, claim: Claim) -> None:
        senses = [sense for sense in claim.senses if sense.blueprint in self.chosen]
        if not senses:
            if claim.at in self.refused:
                self.used.add(claim.at)
            elif claim.at in self.binder.used:
                self.faults.append(claim.words)
            return
        if not self._parameter(senses[0]).shared:
            nearest = min(senses, key=lambda sense: self._far(sense.blueprint, claim.at))
            senses = [nearest]
        for sense in senses:
            self._give(sense, claim)
        self.used.add(claim.at)

    def _parameter(self, sense: Sense) -> Parameter:
        return self.blueprints[sense.blueprint].accepts[sense.parameter]

    def _far(self, name: str, at: int) -> tuple[int, int]:
        anchors = self.chosen[name] or [10_000]
        return min((abs(anchor - at), 0 if anchor <= at else 1) for anchor in anchors)

    def _give(self, sense: Sense, claim: Claim) -> None:
        value: Value | None = sense.value
        if claim.at in self.refused:
            value = self._opposite(sense)
        if value is None:
            return
        given = self.given[sense.blueprint]
        if sense.parameter in given and given[sense.parameter] != value:
            self.faults.append(f"{sense.blueprint}.{sense.parameter}: {given[sense.parameter]} / {value}")
            return
        given[sense.parameter] = value
        guessed = self.marks[claim.at].guessed
        self.reasons[sense.blueprint][sense.parameter] = f"“{claim.words}”" + (f" = {guessed}" if guessed else "")

    def _opposite(self, sense: Sense) -> Value | None:
        """What refusing a value asks for: the other truth, the safe value instead of an unsafe one, else nothing."""
        parameter = self._parameter(sense)
        if isinstance(sense.value, bool):
            return not sense.value
        safe = [unsafe.safe for unsafe in parameter.unsafe if sense.value is not None and unsafe.matches(sense.value)]
        if not safe and sense.value == parameter.default_by_language.get(self.language, parameter.default):
            self.faults.append(f"{sense.blueprint}.{sense.parameter}: {sense.value}?")
        return safe[0] if safe else None

    # -- what is left ------------------------------------------------------------------------------------------

    def _left_over(self) -> list[str]:
        fragments: list[str] = []
        previous = -2
        for at, mark in enumerate(self.marks):
            if at in self.used or self._harmless(mark, at):
                continue
            if at == previous + 1:
                fragments[-1] += f" {mark.text}"
            else:
                fragments.append(mark.text)
            previous = at
        return fragments

    def _harmless(self, mark: Mark, at: int) -> bool:
        if mark.has("filler", "light", "stem", "join", "break", "stop", "existing"):
            return True
        if mark.has("destructive", "control"):
            return True  # judged by _destructive
        if mark.has("place") and self.chosen:
            return True
        return any(s.blueprint in self.chosen for s in mark.senses if s.kind in {"also", "noun", "concept"})

    def _whole(self) -> str:
        return " ".join(mark.text for mark in self.marks if not mark.has("stop"))

    def _complete(self) -> Mapping[str, Parameters]:
        given = {name: self.given.get(name, {}) for name in self.chosen}
        try:
            return complete(self.blueprints, given, language=self.language, reasons=self.reasons)
        except BlueprintFaultError as fault:
            self.faults.append(str(fault))
            return {}

    def _missing(self) -> list[str]:
        return [
            f"{name} needs {other}"
            for name in self.chosen
            for other in self.blueprints[name].requires
            if other not in self.chosen
        ]

    def _chosen(self, name: str, parameters: Parameters) -> ChosenBlueprint:
        anchors = self.chosen[name]
        words = ", ".join(dict.fromkeys(f"“{self.marks[at].text}”" for at in anchors))
        bringers = [other for other in self.chosen if name in self.blueprints[other].brings]
        return ChosenBlueprint(
            blueprint=name,
            reason=words or f"comes with {', '.join(bringers)}",
            explicit=bool(anchors),
            parameters=parameters,
            asks_for=self.blueprints[name].asks_for(parameters),
        )

    def _accepted(self, chosen: tuple[ChosenBlueprint, ...]) -> str:
        return " ".join(self.blueprints[c.blueprint].accepted_goal(c.parameters, self.language) for c in chosen if c.explicit)

    def _nearest(self) -> tuple[str, ...]:
        """Blueprints by how many of the goal's words are theirs; all of them when none is."""
        score = {name: 0 for name in self.blueprints}
        for mark in self.marks:
            for sense in (*mark.senses, *mark.guess):
                if sense.blueprint:
                    score[sense.blueprint] += 3 if sense.kind == "concept" else 1
        ranked = sorted((name for name in score if score[name]), key=lambda name: -score[name])
        return tuple(ranked[:3]) or tuple(self.blueprints)
