"""One thing that can be chosen: its type, its range, how people say it, and which values break which rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from policies.change import Word
from policies.images import parse_image

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
    facts: Mapping[str, Mapping[str, JsonValue]] = Field(
        default={}, description="value -> what templates need to know of it"
    )
    shown: Mapping[str, Text] = Field(default={}, description="value -> how a goal calls it")
    said: Text | None = Field(
        default=None,
        description="how a goal asks for {value}; stands where the blueprint's goal names the parameter",
    )
    where_shut: Value | None = Field(
        default=None,
        description="the value in a namespace whose own rules deny all incoming traffic, unless the person says otherwise",
    )
    always_said: bool = Field(default=False, description="also when it is only a default")

    def check(self, name: str, value: object) -> Value:
        """The value as its type, or BlueprintFaultError saying what would fit."""
        check = {"integer": self._integer, "boolean": self._boolean}.get(self.type, self._string)
        return check(name, value)

    def _integer(self, name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            raise BlueprintFaultError(
                f"{name} is a whole number from {self.minimum} to {self.maximum}, not {value!r}"
            )
        return value

    def _boolean(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise BlueprintFaultError(f"{name} is true or false, not {value!r}")
        return value

    def _string(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise BlueprintFaultError(f"{name} is text, not {value!r}")
        shape = {"name": r"[a-z]([-a-z0-9]*[a-z0-9])?", "path": r"[a-z0-9]([-a-z0-9/]*[a-z0-9])?"}.get(
            self.type
        )
        if self.type == "choice" and value not in self.choices:
            raise BlueprintFaultError(f"{name} is one of {', '.join(self.choices)}, not {value!r}")
        if self.type == "image" and not _IMAGE.fullmatch(value):
            raise BlueprintFaultError(
                f"{name} is an image reference such as ghcr.io/acme/app:1.2, not {value!r}"
            )
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
