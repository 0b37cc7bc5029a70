"""Label and field selectors, as text from a query and as the `selector` of an object."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tools.sandbox.cluster import errors

Json = dict[str, Any]
Test = Callable[[Json], bool]
_PART = re.compile(r"[^,(]+(?:\([^)]*\))?")
_SET = re.compile(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$")
_EQUAL = re.compile(r"^([^=!\s]+)\s*(==|=|!=)\s*(.*)$")


def labels_of(manifest: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of an object."""
    labels: Mapping[str, str] = manifest.get("metadata", {}).get("labels") or {}
    return labels


def by_labels(text: str) -> Test:
    """`a=b,c!=d,e in (f,g),h,!i` as a test; raises ApiError 400."""
    tests = [_requirement(part.strip()) for part in _PART.findall(text) if part.strip()]
    return lambda manifest: all(test(labels_of(manifest)) for test in tests)


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(part):
        key, how, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if how == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.match(part):
        key, how, value = match.groups()
        if how == "!=":
            return lambda labels: labels.get(key) != value.strip()
        return lambda labels: labels.get(key) == value.strip()
    if re.fullmatch(r"!\s*[\w./-]+", part):
        return lambda labels: part[1:].strip() not in labels
    if re.fullmatch(r"[\w./-]+", part):
        return lambda labels: part in labels
    raise errors.bad_request(f"unable to parse requirement: found {part!r}, expected a label requirement")


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) takes these labels; an empty one takes all, None nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        value, values = labels.get(expression["key"]), expression.get("values") or []
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }.get(expression["operator"], False)
        if not fits:
            return False
    return True


def by_fields(text: str) -> Test:
    """`metadata.name=x,status.phase!=Running` as a test on the object's own fields; raises ApiError 400."""
    tests: list[Test] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _EQUAL.match(part)
        if match is None:
            raise errors.bad_request(f"invalid field selector {part!r}")
        path, how, value = match.groups()
        tests.append(_field_test(path, how == "!=", value.strip()))
    return lambda manifest: all(test(manifest) for test in tests)


def _field_test(path: str, negated: bool, value: str) -> Test:  # noqa: FBT001 - two ways of one test
    def test(manifest: Json) -> bool:
        found: Any = manifest
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        return ((found if found is not None else "") == value) != negated

    return test
