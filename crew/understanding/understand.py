"""understand(): a goal in Korean, English or both, to blueprints with typed parameters, or to what was not understood.

Every word must be known: a goal of which a part is not understood is not half done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from crew.understanding.binding import Binder, Claim
from crew.understanding.lexicon import Lexicon, Sense
from crew.understanding.meaning import ChosenBlueprint, Understanding
from crew.understanding.negation import Negations, negations
from crew.understanding.scanning import Mark, folded, scan
from crew.understanding.text import checked, language_of
from knowledge.blueprint import Blueprint, complete
from knowledge.parameter import BlueprintFaultError, Language, Parameter, Parameters, Value


def understand(
    goal: str, blueprints: Mapping[str, Blueprint], lexicon: Lexicon | None = None
) -> Understanding:
    """Read one goal. Deterministic. Raises GoalFaultError for a text that is no goal at all.

    `lexicon` is `Lexicon.of(blueprints)`, for whoever reads many goals.
    """
    text = folded(checked(goal))
    language: Language = "ko" if language_of(text) == "ko" else "en"
    binder = Binder.over(scan(text, lexicon or Lexicon.of(blueprints)), blueprints)
    return _Reading(language, binder, blueprints).result()


@dataclass
class _Reading:
    language: Language
    binder: Binder
    blueprints: Mapping[str, Blueprint]
    marks: list[Mark] = field(init=False)
    negations: Negations = field(init=False)
    refused: set[int] = field(init=False)
    used: set[int] = field(init=False)
    chosen: dict[str, list[int]] = field(default_factory=dict)
    given: dict[str, dict[str, Value]] = field(default_factory=lambda: defaultdict(dict))
    reasons: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    excluded: list[Sense] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.marks, self.used = self.binder.marks, set(self.binder.used)
        self.negations = negations(self.marks, [claim.at for claim in self.binder.claims], self.blueprints)
        self.refused = set(self.negations.refused)
        self.used |= self.negations.working

    def result(self) -> Understanding:
        destructive = self._destructive()
        self._choose()
        for claim in self._all_claims():
            self._assign(claim)
        unknown = self._left_over()
        parameters = self._complete()
        missing = [*self._missing(), *self._excluded()]
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
            spared = at in self.refused and at not in self.negations.twice
            asked = mark.has("destructive") and not spared
            bypass = mark.has("control") and at in self.refused
            if asked or bypass or at in self.negations.stopped:
                around = [m.text for m in self.marks[max(0, at - 1) : at + 2] if not m.has("stop")]
                return " ".join(around)
        return None

    def _spared(self) -> set[int]:
        """What is not to be destroyed is there already: `S3 버킷은 삭제하지 말고` asks for no bucket."""
        spared = set()
        for at in self.refused:
            if not self.marks[at].has("destructive"):
                continue
            step = 1 if self.marks[at].text.isascii() else -1
            index = at + step
            while 0 <= index < len(self.marks) and not self.marks[index].has("stop", "break", "join"):
                if self.marks[index].has("concept", "value", "noun"):
                    spared.add(index)
                    break
                index += step
        return spared

    # -- which blueprints --------------------------------------------------------------------------------------

    def _choose(self) -> None:
        self.refused |= self._spared()
        for at, mark in enumerate(self.marks):
            concepts = () if at in self.binder.used else mark.of("concept")
            if concepts:
                self.used.add(at)
            if concepts and at not in self.refused and not self._exists(at):
                self.chosen.setdefault(concepts[0].blueprint, []).append(at)
        for claim in self._all_claims():
            for sense in claim.senses:
                if claim.at not in self.refused and self._parameter(sense).selects:
                    self.used.add(claim.at)
                    self.chosen.setdefault(sense.blueprint, []).append(claim.at)
        self._bring()
        self.chosen = {name: self.chosen[name] for name in self._in_order()}

    def _bring(self) -> None:
        for name in tuple(self.chosen):
            for other in self.blueprints[name].brings:
                if self._refuses(other):
                    self.faults.append(f"{name} needs {other}, which the goal refuses")
                self.chosen.setdefault(other, [])

    def _in_order(self) -> list[str]:
        """Each after what it requires."""
        order: list[str] = []
        for name in self.chosen:
            order += [
                n for n in (*self.blueprints[name].requires, name) if n in self.chosen and n not in order
            ]
        return order

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
        self.reasons[sense.blueprint][sense.parameter] = f"“{claim.words}”" + (
            f" = {guessed}" if guessed else ""
        )

    def _opposite(self, sense: Sense) -> Value | None:
        """What refusing a value asks for: the other truth, the safe value instead of an unsafe one, else nothing."""
        parameter = self._parameter(sense)
        if isinstance(sense.value, bool):
            return not sense.value
        safe = [
            unsafe.safe
            for unsafe in parameter.unsafe
            if sense.value is not None and unsafe.matches(sense.value)
        ]
        if not safe:
            self.excluded.append(sense)
        return safe[0] if safe else None

    def _excluded(self) -> list[str]:
        """Values that the goal refuses without naming another, though they are the default."""
        return [
            f"{sense.blueprint}.{sense.parameter}: {sense.value}?"
            for sense in self.excluded
            if sense.parameter not in self.given.get(sense.blueprint, {})
            and sense.value
            == self._parameter(sense).default_by_language.get(self.language, self._parameter(sense).default)
        ]

    # -- what is left ------------------------------------------------------------------------------------------

    def _left_over(self) -> list[str]:
        fragments: list[str] = []
        previous = -2
        for at, mark in enumerate(self.marks):
            if at in self.used or self._harmless(mark):
                continue
            if at == previous + 1:
                fragments[-1] += f" {mark.text}"
            else:
                fragments.append(mark.text)
            previous = at
        return fragments

    def _harmless(self, mark: Mark) -> bool:
        if mark.has("filler", "light", "stem", "join", "break", "stop", "existing"):
            return True
        if mark.has("destructive"):
            return True  # judged by _destructive
        if mark.has("control"):
            return False  # how the guards do their work is nothing that a goal may ask for
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
        return " ".join(
            self.blueprints[c.blueprint].accepted_goal(c.parameters, self.language)
            for c in chosen
            if c.explicit
        )

    def _nearest(self) -> tuple[str, ...]:
        """Blueprints by how many of the goal's words are theirs; all of them when none is."""
        score = dict.fromkeys(self.blueprints, 0)
        for mark in self.marks:
            for sense in (*mark.senses, *mark.guess):
                if sense.blueprint:
                    score[sense.blueprint] += 3 if sense.kind == "concept" else 1
        ranked = sorted((name for name in score if score[name]), key=lambda name: -score[name])
        return tuple(ranked[:3]) or tuple(self.blueprints)
