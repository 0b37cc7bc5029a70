"""What GitHub's refusals mean here: the TargetError of a status code, in the server's own words, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tools.verbs import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    TargetError,
    UnauthorizedError,
    UnreachableError,
)

_MOVED = (
    ConflictError,
    "read the repository again; when it moved, run again so that the change is judged on what is there",
)
_DOWN = (UnreachableError, "GitHub has trouble, see its status page; the effect is unknown until it is read")
_GONE = (NotFoundError, "correct the name in [github], or give the token access to this repository")
_ADVICE: Mapping[int, tuple[type[TargetError], str]] = {
    401: (UnauthorizedError, "the token is wrong or has expired: write a new one into token_file"),
    403: (
        ForbiddenError,
        "the token lacks the right: give it contents, pull requests and actions, read and write",
    ),
    404: _GONE,
    410: (NotFoundError, "it has expired or was removed: make it again"),
    451: _GONE,
    **dict.fromkeys((405, 409, 412, 422), _MOVED),
    **dict.fromkeys((500, 502, 503, 504), _DOWN),
}
_OTHER = (TargetError, "check [github] api_url, and what GitHub's documentation says of this call")


def refusal(
    host: str, call: str, status: int, headers: Mapping[str, str], text: str, now: float
) -> TargetError:
    """The error; `headers` with lower-case names, `now` in seconds since 1970."""
    said = _words(text)
    about = f"{host}: {call}: HTTP {status}" + (f": {said}" if said else "")
    if status == 429 or (status == 403 and _is_rate_limit(headers, said)):
        after = _seconds(headers, now)
        wait = "" if after is None else f", in {after:.0f} s"
        return RateLimitedError(f"{about}; GitHub asks for fewer requests: try again later{wait}", after)
    kind, advice = _ADVICE.get(status, _OTHER)
    return kind(f"{about}; {advice}")


def _is_rate_limit(headers: Mapping[str, str], said: str) -> bool:
    return (
        headers.get("x-ratelimit-remaining") == "0"
        or "retry-after" in headers
        or "rate limit" in said.lower()
    )


def _seconds(headers: Mapping[str, str], now: float) -> float | None:
    after = headers.get("retry-after", "")
    if after.isdecimal():
        return float(after)
    reset = headers.get("x-ratelimit-reset", "")
    return (
        max(float(reset) - now, 0.0)
        if reset.isdecimal() and headers.get("x-ratelimit-remaining") == "0"
        else None
    )


def _words(text: str) -> str:
    """GitHub's message with what it says of single fields, in one line; nothing of a page that is no GitHub answer."""
    try:
        body = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    more = [_field(error) for error in errors[:5]] if isinstance(errors, list) else []
    return " ".join("; ".join([str(body.get("message", "")), *filter(None, more)]).split())[:500]


def _field(error: object) -> str:
    if not isinstance(error, dict):
        return str(error)
    return " ".join(str(error[key]) for key in ("field", "code", "message") if error.get(key))
