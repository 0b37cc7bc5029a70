"""What another's server may send: one strict JSON-RPC message per line, and of a tool's answer its words alone."""

from __future__ import annotations

import json
from typing import Any, NoReturn

Json = dict[str, Any]


def decoded(line: bytes) -> Json | None:
    """One JSON-RPC message; None for anything else, such as a key named twice or a number that is none."""
    if not line.endswith(b"\n"):
        return None
    try:
        value = json.loads(line, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("jsonrpc") == "2.0" else None


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is named twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def words(part: object) -> str:
    """Words alone pass: an image or an embedded resource is named and left out."""
    kind, text = (part.get("type"), part.get("text")) if isinstance(part, dict) else (None, None)
    if kind == "text" and isinstance(text, str):
        return text
    return f"[{str(kind)[:20]} left out]"
