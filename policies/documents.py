"""YAML and JSON read once, strictly: what two readers could understand differently is a finding, not a value.

What is left is plain JSON. That JSON is what is judged, and what is signed and submitted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from pydantic import JsonValue

from policies.change import canonical
from policies.finding import Finding
from policies.rules import rule

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 100
SAFE_INTEGER = 2**53 - 1

HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0e\ufeff\ufff9-\ufffb\U000e0000-\U000e01ef]"
    "|\r(?!\n)"
)
_TRUE_FALSE = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_AMBIGUOUS = re.compile(
    r"y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|=|<<"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # sexagesimal
    r"|[-+]?0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*"  # octal, hexadecimal, binary, +1, 1_000, 017
    r"|[-+]?(\.[0-9_]+|[0-9][0-9_]*\.[0-9_]*|[0-9][0-9_]*)([eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+"  # 1e3, .5, 5.
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"  # timestamps
)


class Fault(NamedTuple):
    """Why a text cannot be read in one way: a `reading/` rule, what was met, and where (from 1)."""

    rule: str
    message: str
    line: int
    column: int


class _UnreadableError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def is_ambiguous(text: str) -> bool:
    """Whether a string must be quoted for every reader to read it as this string."""
    plain = text in _NULLS or text in _TRUE_FALSE or _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)
    return bool(plain or _AMBIGUOUS.fullmatch(text))


@dataclass(frozen=True)
class Document:
    """One document of a file. `lines` maps RFC 6901 pointers to line numbers from 1."""

    path: str
    index: int
    value: JsonValue
    lines: Mapping[str, int] = field(repr=False)

    def line_of(self, pointer: str) -> int:
        """The line of the value at `pointer`, or of its nearest parent that exists."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)

    def canonical(self) -> bytes:
        """RFC 8785 JSON of the value."""
        return canonical(self.value)


@dataclass(frozen=True)
class Reading:
    """What a file holds: documents, or the findings that say why nobody may lean on them; never both."""

    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]


def escape(key: str) -> str:
    """A key as a token of an RFC 6901 pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def decode(path: str, data: bytes) -> tuple[str, tuple[Finding, ...]]:
    """The file's text; or findings when it is too large, no UTF-8, or holds characters that hide."""
    if len(data) > MAX_BYTES:
        return "", (rule("reading/size").finding(path, path, f"{path} has {len(data)} bytes"),)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return "", (
            rule("reading/not-utf8").finding(path, path, f"{path} is not UTF-8 at byte {error.start}"),
        )
    hidden = HIDDEN.search(text)
    if hidden is None:
        return text, ()
    line, column = _place(text, hidden.start())
    message = f"{path}:{line}:{column} holds U+{ord(hidden.group()):04X}"
    return "", (rule("reading/hidden-character").finding(path, path, message, line=line),)


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def read(path: str, data: bytes, *, on_key: bool = False) -> Reading:
    """Every document of a YAML (or, by its ending, JSON) file. `on_key` lets a top-level key be a plain `on`."""
    text, findings = decode(path, data)
    if findings:
        return Reading((), findings)
    try:
        if path.endswith(".json"):
            documents: tuple[Document, ...] = (Document(path, 0, _json(text), {"": 1}),)
        else:
            documents = tuple(_Composer(path, text, on_key=on_key).documents())
    except _UnreadableError as error:
        fault = error.fault
        message = f"{path}:{fault.line}:{fault.column} {fault.message}"
        return Reading((), (rule(fault.rule).finding(path, path, message, line=fault.line),))
    return Reading(documents, ())


def _json(text: str) -> JsonValue:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            twice = next(key for i, (key, _) in enumerate(items) if key in dict(items[:i]))
            raise _UnreadableError(
                Fault("reading/duplicate-key", f"key {twice!r} stands twice in one object", 1, 1)
            )
        return result

    def constant(name: str) -> JsonValue:
        raise _UnreadableError(Fault("reading/number", f"{name} is no JSON number", 1, 1))

    def integer(digits: str) -> int:
        return _integer(digits, 1, 1)

    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer
        )
    except json.JSONDecodeError as error:
        raise _UnreadableError(Fault("reading/syntax", error.msg, error.lineno, error.colno)) from error
    except RecursionError as error:
        raise _UnreadableError(Fault("reading/depth", "is nested too deeply", 1, 1)) from error
    if "\\u" in text:
        _no_surrogates(value)
    return value


def _no_surrogates(value: JsonValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _UnreadableError(
            Fault("reading/hidden-character", "holds half a surrogate pair", 1, 1)
        ) from error


def _integer(digits: str, line: int, column: int) -> int:
    number = int(digits) if len(digits) < 20 else SAFE_INTEGER + 1
    if abs(number) > SAFE_INTEGER:
        raise _UnreadableError(Fault("reading/number", f"{digits[:24]} is beyond 2^53", line, column))
    return number


def _position(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class _Composer:
    """YAML events to JSON values; refuses what JSON has not and what readers disagree about."""

    def __init__(self, path: str, text: str, *, on_key: bool) -> None:
        self._path = path
        self._on_key = on_key
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._lines: dict[str, int] = {}

    def documents(self) -> Iterator[Document]:
        """Each document that holds something, in order."""
        try:
            yield from self._documents()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise _UnreadableError(
                Fault("reading/syntax", error.problem or "is no YAML", line, column)
            ) from error
        except yaml.YAMLError as error:
            raise _UnreadableError(Fault("reading/syntax", str(error).replace("\n", " "), 1, 1)) from error

    def _documents(self) -> Iterator[Document]:
        index = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version or event.tags:
                    raise self._fault(
                        event, "reading/directive", "a % directive changes how the text is read"
                    )
                self._lines = {}
                value = self._value(next(self._events), "", 0)
                if value is not None:
                    yield Document(self._path, index, value, self._lines)
                index += 1
            elif isinstance(event, yaml.DocumentEndEvent) and event.explicit:
                raise self._fault(event, "reading/directive", "`...` ends a document")

    def _fault(self, event: yaml.Event, name: str, message: str) -> _UnreadableError:
        return _UnreadableError(Fault(name, message, *_position(event)))

    def _value(self, event: yaml.Event, pointer: str, depth: int) -> JsonValue:
        if isinstance(event, yaml.AliasEvent):
            raise self._fault(event, "reading/alias", f"*{event.anchor} repeats another value")
        if getattr(event, "anchor", None):
            raise self._fault(event, "reading/alias", f"&{event.anchor} names a value to repeat it")  # type: ignore[attr-defined]
        if depth > MAX_DEPTH:
            raise self._fault(event, "reading/depth", f"is nested deeper than {MAX_DEPTH} levels")
        self._lines[pointer] = _position(event)[0]
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if event.tag is not None:  # type: ignore[attr-defined]
            raise self._fault(event, "reading/tag", f"tag {event.tag} changes what the value is")  # type: ignore[attr-defined]
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(pointer, depth)
        return self._mapping(pointer, depth)

    def _sequence(self, pointer: str, depth: int) -> list[JsonValue]:
        items: list[JsonValue] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, f"{pointer}/{len(items)}", depth + 1))
        return items

    def _mapping(self, pointer: str, depth: int) -> dict[str, JsonValue]:
        result: dict[str, JsonValue] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, pointer)
            if key in result:
                raise self._fault(event, "reading/duplicate-key", f"key {key!r} stands twice in one mapping")
            result[key] = self._value(next(self._events), f"{pointer}/{escape(key)}", depth + 1)
        return result

    def _key(self, event: yaml.Event, pointer: str) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor:
            raise self._fault(event, "reading/key", "a key is not a plain string")
        if event.implicit[0] and event.value == "<<":
            raise self._fault(event, "reading/merge-key", "<< merges another mapping")
        if self._on_key and not pointer and event.value == "on":
            return "on"  # GitHub's own spelling of a workflow's trigger
        key = self._scalar(event)
        if not isinstance(key, str):
            raise self._fault(event, "reading/key", f"key {event.value!r} is read as a {type(key).__name__}")
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> JsonValue:
        if event.tag is not None:
            raise self._fault(event, "reading/tag", f"tag {event.tag} changes what the value is")
        text = event.value
        if not event.implicit[0]:
            return text  # quoted, or a block of text
        if text in _NULLS:
            return None
        if text in _TRUE_FALSE:
            return _TRUE_FALSE[text]
        if _INTEGER.fullmatch(text) and text != "-0":
            return _integer(text, *_position(event))
        if _FLOAT.fullmatch(text):
            return float(text)
        if _AMBIGUOUS.fullmatch(text):
            how = f'write "{text}" for the string'
            raise self._fault(
                event, "reading/ambiguous-scalar", f"{text!r} is not read alike by all readers; {how}"
            )
        return text
