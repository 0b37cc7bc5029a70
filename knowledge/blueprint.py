"""Blueprints: what we know how to build, with parameters of known types, in two languages.

A blueprint is a folder with `blueprint.toml` and templates. `load_all` reads them, `Blueprint.parameters` turns
given values into checked ones, `knowledge/rendering.py` turns those into files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from policies.change import Phase, Word
from policies.images import parse_image

BLUEPRINTS = Path(__file__).with_name("blueprints")
Language = Literal["ko", "en"]
Value = bool | int | str
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._:/-]*[a-z0-9])?(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?")


class BlueprintFaultError(Exception):
    """A blueprint's file is wrong, or a value does not fit its parameter; the message names both and the remedy."""


class Text(Word):
    """The same words in both languages."""

    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def of(self, language: Language) -> str:
        """The words in that language."""
        return self.ko if language == "ko" else self.en


class Unsafe(Word):
    """A value that, when the person asks for it, breaks `rules` by itself; `safe` is the value that does not."""

    rules: tuple[str, ...] = Field(min_length=1)
    value: Value | None = None
    pattern: str | None = None
    safe: Value

    @model_validator(mode="after")
    def _one(self) -> Unsafe:
        if (self.value is None) == (self.pattern is None):
            raise ValueError("say which value is unsafe: `value` or `pattern`")
        return self

    def matches(self, value: Value) -> bool:
        """Whether this is the unsafe value."""
        if self.pattern is not None:
            return re.fullmatch(self.pattern, str(value)) is not None
        return value == self.value


class Parameter(Word):
    """One thing that can be chosen.

    `words` say a value outright ("privileged"), `nouns` name the parameter before or after a value ("namespace
    web"), `units` count it ("90 days": unit -> factor). `shared` means one word of the goal sets it in every
    chosen blueprint. `follows` lists parameters (`name`, or `blueprint.name` of another) whose value it takes when
    nobody says otherwise; a name that follows an image is the last part of the image's name.
    """

    type: Literal["integer", "boolean", "name", "choice", "image", "path"]
    description: Text
    default: Value | None = None
    default_by_language: Mapping[Language, Value] = {}
    minimum: int = 0
    maximum: int = 2**31
    longest: int = Field(default=63, description="characters, for names")
    choices: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = {}
    nouns: tuple[str, ...] = ()
    units: Mapping[str, int] = {}
    shared: bool = False
    selects: bool = Field(default=False, description="naming a value of it chooses the blueprint")
    follows: tuple[str, ...] = ()
    unsafe: tuple[Unsafe, ...] = ()
    facts: Mapping[str, Mapping[str, JsonValue]] = Field(default={}, description="value -> what templates need to know of it")
    shown: Mapping[str, Text] = Field(default={}, description="value -> how a goal calls it")
    said: Text | None = Field(default=None, description="how a goal asks for {value}; stands where the blueprint's goal names the parameter")
    always_said: bool = Field(default=False, description="also when it is only a default")

    def check(self, name: str, value: object) -> Value:
        """The value as its type, or BlueprintFaultError saying what would fit."""
        check = {"integer": self._integer, "boolean": self._boolean}.get(self.type, self._string)
        return check(name, value)

    def _integer(self, name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            raise BlueprintFaultError(f"{name} is a whole number from {self.minimum} to {self.maximum}, not {value!r}")
        return value

    def _boolean(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise BlueprintFaultError(f"{name} is true or false, not {value!r}")
        return value

    def _string(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise BlueprintFaultError(f"{name} is text, not {value!r}")
        shape = {"name": r"[a-z]([-a-z0-9]*[a-z0-9])?", "path": r"[a-z0-9]([-a-z0-9/]*[a-z0-9])?"}.get(self.type)
        if self.type == "choice" and value not in self.choices:
            raise BlueprintFaultError(f"{name} is one of {', '.join(self.choices)}, not {value!r}")
        if self.type == "image" and not _IMAGE.fullmatch(value):
            raise BlueprintFaultError(f"{name} is an image reference such as ghcr.io/acme/app:1.2, not {value!r}")
        if shape and not (re.fullmatch(shape, value) and len(value) <= self.longest and "//" not in value):
            raise BlueprintFaultError(
                f"{name} has at most {self.longest} lower-case letters, digits and hyphens, letters first; not {value!r}"
            )
        return parse_image_text(value) if self.type == "image" else value


def parse_image_text(value: str) -> str:
    """An image reference in full: nginx:1 is docker.io/library/nginx:1."""
    image = parse_image(value)
    tag = f":{image.tag}" if image.tag else ""
    digest = f"@{image.digest}" if image.digest else ""
    return f"{image.repository}{tag}{digest}"


class Chosen(Word):
    """A checked value and why it is this one."""

    name: str
    value: Value
    reason: str
    explicit: bool = Field(default=False, description="the person said it")


class Parameters(Word):
    """Every parameter of a blueprint with a value."""

    chosen: tuple[Chosen, ...]

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """Name -> value."""
        return {chosen.name: chosen.value for chosen in self.chosen}

    @cached_property
    def explicit(self) -> frozenset[str]:
        """Names of what the person said."""
        return frozenset(chosen.name for chosen in self.chosen if chosen.explicit)

    @cached_property
    def reasons(self) -> Mapping[str, str]:
        """Name -> reason."""
        return {chosen.name: chosen.reason for chosen in self.chosen}


class Aliases(Word):
    """What people call it. `also` are words that fit it but do not choose it, such as the vendor's name."""

    names: tuple[str, ...] = Field(min_length=1)
    also: tuple[str, ...] = ()


class Blueprint(Word):
    """One golden path."""

    name: str
    description: Text
    phases: tuple[Phase, ...] = Field(min_length=1)
    risk: Text
    goal: Text = Field(description="a goal that asks for it; {parameter} becomes what that parameter's `said` says, or nothing")
    aliases: Aliases
    counted_by: str | None = Field(default=None, description="the parameter that a number before its name sets")
    requires: tuple[str, ...] = ()
    brings: tuple[str, ...] = Field(default=(), description="blueprints that come along when nobody refuses them")
    accepts: Mapping[str, Parameter] = Field(default={}, validation_alias="parameters", description="`parameters` in the file")
    folder: Path

    def parameters(
        self,
        given: Mapping[str, object],
        *,
        language: Language = "en",
        reasons: Mapping[str, str] | None = None,
        explicit: frozenset[str] | None = None,
    ) -> Parameters:
        """Check `given` and fill in the defaults. Raises BlueprintFaultError for an unknown name or a value that does not fit.

        `explicit` are the names that the person said; by default all of `given`.
        """
        if unknown := sorted(set(given) - set(self.accepts)):
            known = ", ".join(self.accepts) or "none"
            raise BlueprintFaultError(f"{self.name} has no parameter {', '.join(unknown)}; its parameters are {known}")
        said = frozenset(given) if explicit is None else explicit
        chosen: dict[str, Chosen] = {}
        for name, parameter in self.accepts.items():
            followed = next((chosen[other] for other in parameter.follows if other in chosen), None)
            value, reason = given.get(name), "given"
            if value is None and followed is not None:
                value, reason = _following(parameter, followed.value), f"follows {followed.name}"
            elif value is None:
                value = parameter.default_by_language.get(language, parameter.default)
                reason = f"default {value}" if language == "en" else f"기본값 {value}"
            if value is not None:
                reason = (reasons or {}).get(name, reason)
                checked = parameter.check(f"{self.name}.{name}", value)
                chosen[name] = Chosen(name=name, value=checked, reason=reason, explicit=name in said)
        return Parameters(chosen=tuple(chosen.values()))

    def asks_for(self, parameters: Parameters) -> tuple[str, ...]:
        """Rules that what the person said breaks by itself."""
        return tuple(
            rule
            for chosen in parameters.chosen
            if chosen.explicit
            for unsafe in self.accepts[chosen.name].unsafe
            if unsafe.matches(chosen.value)
            for rule in unsafe.rules
        )

    def safe(self, parameters: Parameters) -> Parameters:
        """The same with every unsafe value replaced."""

        def replaced(chosen: Chosen) -> Chosen:
            found = [u.safe for u in self.accepts[chosen.name].unsafe if u.matches(chosen.value)]
            return chosen.model_copy(update={"value": found[0]}) if found else chosen

        return Parameters(chosen=tuple(replaced(chosen) for chosen in parameters.chosen))

    def accepted_goal(self, parameters: Parameters, language: Language) -> str:
        """A goal in words that asks for the safe form of these parameters, and that we understand as exactly them."""
        words = dict.fromkeys(self.accepts, "")
        for chosen in self.safe(parameters).chosen:
            parameter = self.accepts[chosen.name]
            if parameter.said and (chosen.explicit or parameter.always_said):
                shown = parameter.shown.get(str(chosen.value))
                words[chosen.name] = parameter.said.of(language).format(value=shown.of(language) if shown else chosen.value)
        return self.goal.of(language).format_map(words)


def _following(parameter: Parameter, value: Value) -> Value:
    if parameter.type != "name" or not isinstance(value, str) or "/" not in value:
        return value
    last = parse_image(value).repository.rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-0123456789")[: parameter.longest].strip("-") or "app"


def complete(
    blueprints: Mapping[str, Blueprint],
    given: Mapping[str, Mapping[str, object]],
    *,
    language: Language = "en",
    reasons: Mapping[str, Mapping[str, str]] | None = None,
) -> Mapping[str, Parameters]:
    """Parameters of several blueprints at once, where one may follow another's. Raises BlueprintFaultError."""
    reasons = reasons or {}
    done: dict[str, Parameters] = {}
    waiting = list(given)
    while waiting:
        ready = [n for n in waiting if not _followed_by(blueprints[n], n) & set(waiting) - {n}] or waiting[:1]
        for name in ready:
            blueprint, own = blueprints[name], dict(given[name])
            why = dict(reasons.get(name, {}))
            for parameter, source in _followed(blueprint, done):
                if parameter not in own:
                    other, field = source.split(".")
                    own[parameter], why[parameter] = done[other].values[field], f"follows {source}"
            said = frozenset(given[name])
            done[name] = blueprint.parameters(own, language=language, reasons=why, explicit=said)
            waiting.remove(name)
    return {name: done[name] for name in given}


def _followed_by(blueprint: Blueprint, name: str) -> set[str]:
    followed = {source.partition(".")[0] for p in blueprint.accepts.values() for source in p.follows if "." in source}
    return followed - {name}


def _followed(blueprint: Blueprint, done: Mapping[str, Parameters]) -> list[tuple[str, str]]:
    found = []
    for name, parameter in blueprint.accepts.items():
        for source in parameter.follows:
            other, _, field = source.partition(".")
            if field and other in done and field in done[other].values:
                found.append((name, source))
                break
    return found


def load_all(folder: Path = BLUEPRINTS) -> Mapping[str, Blueprint]:
    """Every blueprint of a folder by name, sorted. Raises BlueprintFaultError with the file and field that is wrong."""
    blueprints = {}
    for path in sorted(folder.glob("*/blueprint.toml")):
        blueprint = _load(path)
        if blueprint.name != path.parent.name:
            raise BlueprintFaultError(f"{path.parent.name}/blueprint.toml calls itself {blueprint.name}")
        blueprints[blueprint.name] = blueprint
    for blueprint in blueprints.values():
        if missing := sorted({*blueprint.requires, *blueprint.brings} - set(blueprints)):
            raise BlueprintFaultError(f"{blueprint.name} names blueprints that are not there: {', '.join(missing)}")
    return blueprints


def _load(path: Path) -> Blueprint:
    where = f"{path.parent.name}/{path.name}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for parameter in document.get("parameters", {}).values():
            if vocabulary := parameter.pop("vocabulary", None):
                _add_vocabulary(parameter, path.parent.parent / f"{vocabulary}.toml")
        return Blueprint.model_validate({**document, "folder": path.parent})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as fault:
        raise BlueprintFaultError(f"{where} cannot be used: {fault}") from fault


def _add_vocabulary(parameter: dict[str, object], path: Path) -> None:
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    parameter["choices"] = list(entries)
    parameter["words"] = {choice: entry["words"] for choice, entry in entries.items()}
    parameter["facts"] = {choice: {k: v for k, v in entry.items() if k != "words"} for choice, entry in entries.items()}
