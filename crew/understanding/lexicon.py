"""Every phrase that a goal may be made of, and what it can mean: from the blueprints' own words and `words.toml`."""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from knowledge.blueprint import Blueprint
from knowledge.parameter import Parameter, Value

Kind = Literal[
    "concept", "also", "value", "noun", "unit", "number", "counter", "place", "existing", "filler", "light", "stem",
    "join", "break", "stop", "naming", "before", "not", "after", "off", "destructive", "control",
]  # fmt: skip
_GUESSABLE: tuple[Kind, ...] = (
    "concept",
    "value",
    "noun",
    "before",
    "not",
    "after",
    "destructive",
    "filler",
    "also",
    "place",
)
LATIN, KOREAN = re.compile(r"[a-z]+"), re.compile(r"[가-힣]+")
LETTERS, SYLLABLES = 5, 4
"""Shorter words are not guessed at: too many others are near them."""
_GAP = re.compile(r"[\s\-_]+")
_SCRIPTS = re.compile(r"(?<=[a-z0-9])(?=[가-힣])|(?<=[가-힣])(?=[a-z0-9])")


@dataclass(frozen=True)
class Sense:
    """One thing that a phrase can mean. `number` is a number's value or a unit's factor."""

    kind: Kind
    blueprint: str = ""
    parameter: str = ""
    value: Value | None = None
    number: int = 0


@dataclass
class Entry:
    """A phrase without its gaps, its senses, and whether the text may have gaps inside."""

    gaps: bool = False
    senses: list[Sense] = field(default_factory=list)


def squeezed(phrase: str) -> str:
    """The phrase as it is looked up: NFC, lower case, without spaces, hyphens and underscores."""
    return _GAP.sub("", unicodedata.normalize("NFC", phrase).lower())


@dataclass(frozen=True)
class Lexicon:
    """Squeezed phrase -> entry, with the language's particles and verb endings."""

    entries: Mapping[str, Entry]
    particles: frozenset[str]
    endings: frozenset[str]
    digits: Mapping[str, int]
    longest: int

    @classmethod
    def of(cls, blueprints: Mapping[str, Blueprint]) -> Lexicon:
        """The lexicon of these blueprints."""
        words = _words()
        entries: dict[str, Entry] = defaultdict(Entry)
        for blueprint in blueprints.values():
            _add(entries, blueprint.aliases.names, Sense("concept", blueprint.name))
            _add(entries, blueprint.aliases.also, Sense("also", blueprint.name))
            for name, parameter in blueprint.accepts.items():
                _add_parameter(entries, blueprint.name, name, parameter)
        _add(entries, words["places"]["words"], Sense("place"))
        _add_language(entries, words["english"])
        _add_language(entries, words["korean"])
        korean = words["korean"]
        return cls(
            entries=dict(entries),
            particles=frozenset(korean["particles"].split()),
            endings=frozenset(korean["endings"]),
            digits=korean["digits"],
            longest=max(map(len, entries)),
        )

    @functools.cached_property
    def latin(self) -> tuple[str, ...]:
        """Latin words that a misspelt one may have meant."""
        return tuple(p for p in self._guessable() if LATIN.fullmatch(p) and len(p) >= LETTERS)

    @functools.cached_property
    def korean(self) -> tuple[str, ...]:
        """Korean words that a misspelt one may have meant, as letters (NFD)."""
        long = (p for p in self._guessable() if KOREAN.fullmatch(p) and len(p) >= SYLLABLES)
        return tuple(unicodedata.normalize("NFD", p) for p in long)

    def _guessable(self) -> list[str]:
        return [
            phrase
            for phrase, entry in self.entries.items()
            if any(s.kind in _GUESSABLE for s in entry.senses)
        ]

    def senses(self, squeezed_text: str) -> Entry | None:
        """The entry of a squeezed text."""
        return self.entries.get(squeezed_text)


@functools.cache
def _words() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))


def _add(entries: dict[str, Entry], phrases: Iterable[str], sense: Sense) -> None:
    for phrase in phrases:
        entry = entries[squeezed(phrase)]
        entry.gaps = entry.gaps or bool(_GAP.search(phrase.strip()) or _SCRIPTS.search(phrase.lower()))
        if sense not in entry.senses:
            entry.senses.append(sense)


def _add_parameter(entries: dict[str, Entry], blueprint: str, name: str, parameter: Parameter) -> None:
    for value, phrases in parameter.words.items():
        _add(entries, phrases, Sense("value", blueprint, name, _typed(parameter, value)))
    _add(entries, parameter.nouns, Sense("noun", blueprint, name))
    for unit, factor in parameter.units.items():
        _add(entries, [unit], Sense("unit", blueprint, name, number=factor))


def _typed(parameter: Parameter, value: str) -> Value:
    if parameter.type == "boolean":
        return value == "true"
    return int(value) if parameter.type == "integer" else value


_FIELDS: Mapping[str, Kind] = {
    "filler": "filler", "light": "light", "stems": "stem", "existing": "existing", "joins": "join", "breaks": "break",
    "naming": "naming", "counters": "counter", "negation_before": "before", "negation_verb": "not", "negation_after": "after",
    "switching_off": "off", "destructive": "destructive", "controls": "control",
}  # fmt: skip


def _add_language(entries: dict[str, Entry], words: Mapping[str, Any]) -> None:
    for name, kind in _FIELDS.items():
        _add(entries, words.get(name, "").split(), Sense(kind))
    numbers, tens = words.get("numbers", {}), words.get("tens", {})
    below_ten = {word: number for word, number in numbers.items() if number < 10}
    counted = {f"{ten} {one}": tens[ten] + below_ten[one] for ten in tens for one in below_ten}
    for word, number in {**numbers, **tens, **counted}.items():
        _add(entries, [word], Sense("number", number=number))
