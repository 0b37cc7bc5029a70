"""Strict decoding of what is signed: one value has exactly one accepted spelling, its RFC 8785 form."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import rfc8785
from pydantic import ValidationError

from policies.change import Word, canonical
from policies.refusal import MalformedError, NotCanonicalError, OversizeError, UnknownShapeError

W = TypeVar("W", bound=Word)
LIMIT = 4 * 1024 * 1024
"""Bytes. A manifest of a thousand artifacts and two hundred grants is below one mebibyte."""


def decode(data: bytes, what: str, limit: int = LIMIT) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value in `data`, which must be its canonical form. Raises a SignoffError naming `what`."""
    if len(data) > limit:
        raise OversizeError(f"{what} has {len(data)} bytes, more than {limit}.")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates)
        spelled = canonical(value)  # NaN, infinities and lone surrogates have none
    except (ValueError, RecursionError) as fault:
        reason = "nested too deeply" if isinstance(fault, RecursionError) else str(fault)
        raise MalformedError(f"{what} is not strict JSON: {reason[:200]}.") from None
    if spelled != data:
        raise NotCanonicalError(f"{what} is not in canonical form.")
    return value


def parse(kind: type[W], data: bytes, what: str, limit: int = LIMIT) -> W:
    """`data` as a `kind` that spells exactly these bytes again. Raises a SignoffError naming `what`."""
    return shaped(kind, decode(data, what, limit), data, what)


def shaped(kind: type[W], value: object, data: bytes, what: str) -> W:
    """`value`, decoded from `data` before, as a `kind` that spells exactly these bytes again. Raises a SignoffError."""
    try:
        word = kind.model_validate(value)
        spelled = word.canonical()
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnknownShapeError(
            f"{what} is not a {kind.__name__}: {where or 'document'}: {first['msg']}."
        ) from None
    except rfc8785.CanonicalizationError as fault:
        raise MalformedError(f"{what} holds a value without a canonical form: {fault}.") from None
    if spelled != data:
        # A coerced value ("1" for 1) or an omitted default reads the same and is written differently.
        raise NotCanonicalError(f"{what} does not spell every field as {kind.__name__} does.")
    return word


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found
