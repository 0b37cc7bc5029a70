"""`${{ }}` expressions: contexts, literals, comparison, logic and a few functions. Anything else is a fault by name.

Semantics as GitHub documents them: `==` on strings ignores case, a missing property is null and prints as nothing,
`&&` and `||` return one of their operands.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<string>'(?:[^']|'')*')|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<mark>==|!=|<=|>=|&&|\|\||[!<>().,\[\]]))"
)
_HOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_STATUS = re.compile(r"\b(success|failure|always|cancelled)\s*\(")
Contexts = Mapping[str, Any]


class ExpressionFaultError(Exception):
    """The expression is none, or goes beyond what the sandbox rehearses."""


@dataclass(frozen=True)
class Status:
    """How the job stands when a condition is asked."""

    failed: bool = False


def condition(text: object, contexts: Contexts, status: Status) -> bool:
    """Whether an `if` holds; without a status function it also asks for success so far."""
    if text is None:
        return not status.failed
    if isinstance(text, bool):
        return text and not status.failed
    body = str(text).strip()
    whole = _HOLE.fullmatch(body)
    body = whole.group(1) if whole else body
    value = truthy(evaluate(body, contexts, status))
    return value if _STATUS.search(body) else value and not status.failed


def interpolate(text: object, contexts: Contexts) -> str:
    """The text with every `${{ }}` replaced by its value."""
    return _HOLE.sub(lambda hole: shown(evaluate(hole.group(1), contexts)), shown(text))


def evaluate(text: str, contexts: Contexts, status: Status | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """The value of one expression. Raises ExpressionFaultError."""
    reader = _Reader(_tokens(text), contexts, status)
    value = reader.either()
    if reader.tokens:
        raise ExpressionFaultError(f"cannot read {text.strip()!r} from {reader.tokens[0][1]!r} on")
    return value


def truthy(value: object) -> bool:
    """GitHub's truth: false, 0, -0, '' and null are false."""
    return not (
        value is None or value is False or value == "" or (isinstance(value, int | float) and value == 0)
    )


def shown(value: object) -> str:
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise ExpressionFaultError(
                f"cannot read {text.strip()!r} from {text[position:].strip()[:10]!r} on"
            )
        found.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return found


class _Reader:
    """A recursive descent over the tokens, evaluating as it goes."""

    def __init__(self, tokens: list[tuple[str, str]], contexts: Contexts, status: Status | None) -> None:
        self.tokens = tokens
        self.contexts = contexts
        self.status = status

    def either(self) -> Any:  # noqa: ANN401
        value = self._both()
        while self._take("||"):
            other = self._both()
            value = value if truthy(value) else other
        return value

    def _both(self) -> Any:  # noqa: ANN401
        value = self._compared()
        while self._take("&&"):
            other = self._compared()
            value = other if truthy(value) else value
        return value

    def _compared(self) -> Any:  # noqa: ANN401
        value = self._negated()
        for mark, compare in _COMPARISONS.items():
            if self._take(mark):
                return compare(value, self._negated())
        return value

    def _negated(self) -> Any:  # noqa: ANN401
        return not truthy(self._negated()) if self._take("!") else self._operand()

    def _operand(self) -> Any:  # noqa: ANN401
        if self._take("("):
            value = self.either()
            self._expect(")")
            return value
        if not self.tokens:
            raise ExpressionFaultError("an expression ends too early")
        kind, text = self.tokens.pop(0)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind != "name":
            raise ExpressionFaultError(f"{text!r} stands where a value should")
        if text in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[text]
        return self._called(text) if self._take("(") else self._looked_up(text)

    def _looked_up(self, name: str) -> Any:  # noqa: ANN401
        if name not in self.contexts:
            raise ExpressionFaultError(f"the sandbox rehearses no context {name!r}")
        value = self.contexts[name]
        while self.tokens and self.tokens[0][1] in {".", "["}:
            if self._take("."):
                kind, key = self.tokens.pop(0) if self.tokens else ("", "")
                if kind != "name":
                    raise ExpressionFaultError(f"{key!r} is no property name")
            else:
                self._take("[")
                key = shown(self.either())
                self._expect("]")
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def _called(self, name: str) -> Any:  # noqa: ANN401
        arguments = []
        while not self._take(")"):
            arguments.append(self.either())
            if not self._take(",") and (not self.tokens or self.tokens[0][1] != ")"):
                raise ExpressionFaultError(f"the call of {name} does not end")
        if self.status is not None and name in _STATUSES and not arguments:
            return _STATUSES[name](self.status)
        if name not in _FUNCTIONS:
            raise ExpressionFaultError(f"the sandbox rehearses no function {name!r} here")
        try:
            return _FUNCTIONS[name](*arguments)
        except (TypeError, ValueError, IndexError) as fault:
            raise ExpressionFaultError(f"{name}: {fault}") from fault

    def _take(self, mark: str) -> bool:
        if self.tokens and self.tokens[0] == ("mark", mark):
            self.tokens.pop(0)
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise ExpressionFaultError(f"{mark!r} is missing")


def _number(value: object) -> float:
    if value is None:
        return 0
    if isinstance(value, bool | int | float):
        return float(value)
    try:
        return float(str(value) or 0)
    except ValueError:
        return math.nan


def _equal(one: object, other: object) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return one == other if type(one) is type(other) else _number(one) == _number(other)


def _formatted(text: object, *values: object) -> str:
    def filled(match: re.Match[str]) -> str:
        return match.group(0)[0] if match.group(1) is None else shown(values[int(match.group(1))])

    return re.sub(r"\{\{|\}\}|\{(\d+)\}", filled, shown(text))


def _contains(where: object, what: object) -> bool:
    if isinstance(where, list):
        return any(_equal(item, what) for item in where)
    return shown(what).lower() in shown(where).lower()


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<=": lambda a, b: _number(a) <= _number(b),
    ">=": lambda a, b: _number(a) >= _number(b),
    "<": lambda a, b: _number(a) < _number(b),
    ">": lambda a, b: _number(a) > _number(b),
}
_STATUSES: Mapping[str, Callable[[Status], bool]] = {
    "success": lambda status: not status.failed,
    "failure": lambda status: status.failed,
    "always": lambda _: True,
    "cancelled": lambda _: False,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "contains": _contains,
    "startsWith": lambda text, start: shown(text).lower().startswith(shown(start).lower()),
    "endsWith": lambda text, end: shown(text).lower().endswith(shown(end).lower()),
    "format": _formatted,
    "toJSON": lambda value: json.dumps(value, indent=2),
    "fromJSON": lambda text: json.loads(shown(text)),
}
