"""Tool definitions by digest: what was pinned, what is served now, and a server that changed is shut out.

The whole of a definition is its canonical JSON as it came over the wire. Its shape is the same without words:
name, the annotations that are hints of effect, and of the arguments what decides which call is valid.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import JsonValue, ValidationError

from policies.change import Digest, Word, canonical, digest_of

Json = dict[str, Any]
_HINTS = ("destructiveHint", "idempotentHint", "readOnlyHint")
_DECIDING = ("enum", "maximum", "minimum", "required", "type")


class PinFaultError(Exception):
    """The record of a server cannot be read or written; the message names the file."""


def text(value: object) -> str:
    """A JSON value in one spelling: two that are the same here are the same in canonical form, for a fraction of its cost."""
    return json.dumps(value, sort_keys=True)


def shape(definition: Mapping[str, Any]) -> Json:
    """A definition without words."""
    hints = definition.get("annotations") or {}
    return {
        "name": definition.get("name"),
        "annotations": {hint: hints[hint] for hint in _HINTS if hints.get(hint)},
        "inputSchema": _bare(definition.get("inputSchema") or {}),
    }


def _bare(schema: object) -> object:
    if not isinstance(schema, Mapping):
        return schema
    kept: Json = {key: schema[key] for key in _DECIDING if key in schema}
    kept["required"] = sorted(kept.get("required") or [])
    if schema.get("properties"):
        kept["properties"] = {name: _bare(inner) for name, inner in schema["properties"].items()}
    if "items" in schema:
        kept["items"] = _bare(schema["items"])
    return kept if kept["required"] else {key: value for key, value in kept.items() if key != "required"}


@dataclass(frozen=True)
class Pins:
    """The definitions that were accepted, by tool. `whole`: every byte counts, otherwise the shape."""

    definitions: Mapping[str, Json]
    whole: bool

    @classmethod
    def of(cls, listed: Iterable[Json], *, whole: bool) -> Pins:
        """From a list of definitions in wire form."""
        return cls({str(each["name"]): each for each in listed}, whole)

    def schema(self, tool: str) -> Json:
        """The JSON schema of a tool's arguments."""
        found: Json = self.definitions[tool].get("inputSchema") or {}
        return found

    def digest(self, definition: Mapping[str, Any]) -> Digest:
        """What is compared. A value without a canonical form has a digest that no pin has."""
        try:
            return digest_of(canonical(self._compared(definition)))
        except (rfc8785.CanonicalizationError, RecursionError):
            return ""

    def _compared(self, definition: Mapping[str, Any]) -> object:
        return definition if self.whole else shape(definition)

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        return {name: text(self._compared(each)) for name, each in self.definitions.items()}

    def differences(self, served: Iterable[Json]) -> tuple[str, ...]:
        """What is not as pinned. A tool that is no longer served is none: it can only be missed."""
        seen: set[object] = set()
        found = []
        for definition in served:
            name = definition.get("name")
            pinned = self.definitions.get(name) if isinstance(name, str) else None
            if name in seen:
                found.append(f"{str(name)[:64]!r} is listed twice")
            elif pinned is None:
                found.append(f"{str(name)[:64]!r} was added")
            elif text(self._compared(definition)) != self._texts[str(name)] and self.digest(
                definition
            ) != self.digest(pinned):
                found.append(f"{str(name)[:64]!r} was changed")
            seen.add(name)
        return tuple(found)


class Record(Word):
    """What a person pinned of a server, and why it is shut out: a file in the gate's folder."""

    definitions: tuple[Mapping[str, JsonValue], ...] = ()
    pinned_by: str = ""
    pinned_at: str = ""
    quarantine: str = ""
    quarantined_at: str = ""

    def pins(self, otherwise: Pins) -> Pins:
        """A person's pins count before the adapter's, and by the whole."""
        return Pins.of(map(dict, self.definitions), whole=True) if self.definitions else otherwise


@dataclass(frozen=True)
class Records:
    """The records below one folder, one JSON file per server."""

    folder: Path

    def read(self, server: str) -> Record:
        """An empty one when there is none. Raises PinFaultError: a record that cannot be read shuts the server out."""
        path = self._path(server)
        try:
            return Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Record()
        except (OSError, ValidationError) as fault:
            raise PinFaultError(f"{path} cannot be used: pin the server again") from fault

    def write(self, server: str, record: Record) -> None:
        """Durably, in one step. Raises PinFaultError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(record.model_dump(mode="json"), indent=1).encode())
                file.flush()
                os.fsync(handle)
            Path(name).replace(self._path(server))
        except OSError as fault:
            raise PinFaultError(f"{self.folder} cannot be written: {fault.strerror}") from fault

    def _path(self, server: str) -> Path:
        return self.folder / f"{server}.json"
