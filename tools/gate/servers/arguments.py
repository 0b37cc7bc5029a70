"""Arguments for another's tool, checked strictly before that server sees them: by its pinned schema and by our own rules.

Ours, for every text: no more than `LONGEST` characters, nothing unprintable (NUL, newline, marks that turn text
around), no leading `-`, no path that leaves its root. A schema keyword that is not known here refuses the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools.gate.servers.adapter import Limit, Reads
from tools.tool import ToolRefusedError

LONGEST = 1000
MOST = 200
"""Items of a list."""
_TYPES = {
    "string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float), "array": (list,), "object": (dict,),
}  # fmt: skip
_SAFE = 2**53 - 1
_LEAVES = re.compile(r"^[/~]|\\|%2e|%2f|(^|[/?#])\.\.($|[/?#])")
_SAYING = frozenset({"description", "title", "default", "examples"})
_KNOWN = _SAYING | {
    "type", "enum", "properties", "required", "items", "minimum", "maximum", "pattern", "additionalProperties",
}  # fmt: skip


def check(tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raises ToolRefusedError `arguments-refused` with the first fault."""
    unknown = sorted(set(schema) - _KNOWN)
    faults = (
        [f"its schema is not understood here ({unknown[0]})"] if unknown else _object(schema, arguments, "")
    )
    for fault in faults:
        raise _refused(f"{tool}: {fault}.")


def limited(
    tool: str, rule: Reads, common: Mapping[str, Limit], arguments: Mapping[str, Any], here: Mapping[str, str]
) -> None:
    """Hold a read to what its adapter allows. `here` is the destination's owner and repo.

    Raises ToolRefusedError `outside-destination` or `argument-not-allowed`.
    """
    for name in rule.without:
        if name in arguments:
            raise ToolRefusedError(
                "argument-not-allowed", f"{tool} may not be called with {name}.", "Leave it out."
            )
    for name, limit in {**common, **rule.arguments}.items():
        if limit.bound and not rule.unbound:
            _bound(tool, name, arguments, here.get(limit.bound))
        elif limit.demanded and name not in arguments:
            raise ToolRefusedError("argument-not-allowed", f"{tool} needs {name}.", "Add it.")
        elif limit.one_of and name in arguments and not _among(arguments[name], limit.one_of):
            message = f"{tool} may not be called with this {name}."
            allowed = ", ".join(map(str, limit.one_of))
            raise ToolRefusedError("argument-not-allowed", message, f"Allowed are: {allowed}.")


def _bound(tool: str, name: str, arguments: Mapping[str, Any], wanted: str | None) -> None:
    given = arguments.get(name)
    if wanted is None or not isinstance(given, str) or given.lower() != wanted.lower():
        message = f"{tool} may read {wanted or 'nothing'} only, {name} is another."
        raise ToolRefusedError("outside-destination", message, f"Set {name} to {wanted}." if wanted else "")


def _among(value: object, allowed: tuple[Any, ...]) -> bool:
    return any(type(value) is type(each) and value == each for each in allowed)


def _object(schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> Iterator[str]:
    known = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in value:
            yield f"{where}{name} is missing"
    for name, inner in value.items():
        if name not in known:
            yield f"{where}{str(name)[:64]!r} is no argument of it"
        else:
            yield from _value(known[name], inner, where + name)


def _value(schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if unknown := set(schema) - _KNOWN:
        yield f"{where} has a schema that is not understood here ({min(unknown)})"
        return
    named = schema.get("type")
    types = named if isinstance(named, list) else [named]
    if not any(_is(value, name) for name in types):
        yield f"{where} is not of type {' or '.join(map(str, types))}"
        return
    if "enum" in schema and not _among(value, tuple(schema["enum"])):
        yield f"{where} is none of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str):
        yield from _text(schema, value, where)
    elif isinstance(value, dict):
        yield from _object(schema, value, f"{where}.")
    elif isinstance(value, list):
        yield from _list(schema, value, where)
    elif not isinstance(value, bool) and not schema.get("minimum", -_SAFE) <= value <= schema.get(
        "maximum", _SAFE
    ):
        yield f"{where} is out of its range"


def _is(value: object, name: object) -> bool:
    return type(value) in _TYPES.get(str(name), ())


def _list(schema: Mapping[str, Any], value: list[Any], where: str) -> Iterator[str]:
    if len(value) > MOST:
        yield f"{where} has more than {MOST} items"
        return
    for index, inner in enumerate(value):
        yield from _value(schema.get("items") or {}, inner, f"{where}[{index}]")


def _text(schema: Mapping[str, Any], value: str, where: str) -> Iterator[str]:
    if len(value) > LONGEST:
        yield f"{where} has more than {LONGEST} characters"
    elif not value.isprintable():
        yield f"{where} holds a character that cannot be seen"
    elif value.startswith("-"):
        yield f"{where} begins with -"
    elif _LEAVES.search(value.lower()):
        yield f"{where} is a path that leaves its root"
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where} is not of its pattern"


def _refused(message: str) -> ToolRefusedError:
    return ToolRefusedError("arguments-refused", message, "Correct the arguments; nothing was called.")
