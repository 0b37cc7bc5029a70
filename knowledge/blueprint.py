"""Blueprints: what we know how to build, with parameters of known types, in two languages.

A blueprint is a folder with `blueprint.toml` and templates. `load_all` reads them, `Blueprint.parameters` turns
given values into checked ones, `knowledge/rendering.py` turns those into files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from knowledge.parameter import BlueprintFaultError, Chosen, Language, Parameter, Parameters, Text, Value
from policies.change import Phase, Word
from policies.images import parse_image

BLUEPRINTS = Path(__file__).with_name("blueprints")


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
    goal: Text = Field(
        description="a goal that asks for it; {parameter} becomes what that parameter's `said` says, or nothing"
    )
    aliases: Aliases
    counted_by: str | None = Field(
        default=None, description="the parameter that a number before its name sets"
    )
    requires: tuple[str, ...] = ()
    brings: tuple[str, ...] = Field(
        default=(), description="blueprints that come along when nobody refuses them"
    )
    accepts: Mapping[str, Parameter] = Field(
        default={}, validation_alias="parameters", description="`parameters` in the file"
    )
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
            raise BlueprintFaultError(
                f"{self.name} has no parameter {', '.join(unknown)}; its parameters are {known}"
            )
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
                words[chosen.name] = parameter.said.of(language).format(
                    value=shown.of(language) if shown else chosen.value
                )
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
    followed = {
        source.partition(".")[0] for p in blueprint.accepts.values() for source in p.follows if "." in source
    }
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
            raise BlueprintFaultError(
                f"{blueprint.name} names blueprints that are not there: {', '.join(missing)}"
            )
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
    parameter["facts"] = {
        choice: {k: v for k, v in entry.items() if k != "words"} for choice, entry in entries.items()
    }
