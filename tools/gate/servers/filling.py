"""A tool's arguments from the words of a signed call, and a call taken apart into its documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from policies import documents
from tools.gate.servers.adapter import Does, Same
from tools.tool import ToolRefusedError
from tools.verbs import Call, TargetError, Way

_WORD = re.compile(r"\{([a-z_]+)\}")
DOCUMENTS_LIMIT = 200


def asked(does: Does, way: Way, call: Call) -> dict[str, JsonValue]:
    """The arguments that a signed call allows. Raises TargetError where such a tool cannot carry it."""
    return _filled(does.asked, way.words(call))


def sent(does: Does, way: Way, call: Call) -> dict[str, JsonValue]:
    """The arguments that the server gets. Raises TargetError as `asked` does."""
    return _filled(does.asked if does.sent is None else does.sent, way.words(call))


def same(asked_for: Same, call: Call) -> tuple[dict[str, JsonValue], str]:
    """The read that shows the server's target, and what its answer must hold. Raises TargetError."""
    words: dict[str, JsonValue] = {}
    if (repository := call.destination.repository) is not None:
        owner, _, repo = repository.full_name.partition("/")
        words |= {"owner": owner, "repo": repo, "base_commit": repository.base_commit}
    if (cluster := call.destination.cluster) is not None:
        words["cluster_uid"] = cluster.uid
    return _filled(asked_for.arguments, words), str(_value(asked_for.holds, words))


def apart(does: Does, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One call per document, each with its document as canonical JSON; the call itself where it holds none.

    Raises ToolRefusedError `arguments-refused` for a payload that two readers could read differently.
    """
    if not does.documents:
        return [dict(arguments)]
    text = arguments.get(does.documents)
    if not isinstance(text, str):
        raise _unreadable(does, "is no text")
    reading = documents.read("payload.yaml", text.encode("utf-8", "surrogatepass"))
    if reading.findings:
        raise _unreadable(does, reading.findings[0].message)
    if not 0 < len(reading.documents) <= DOCUMENTS_LIMIT:
        raise _unreadable(does, f"holds {len(reading.documents)} documents")
    return [{**arguments, does.documents: each.canonical().decode()} for each in reading.documents]


def _unreadable(does: Does, why: str) -> ToolRefusedError:
    message = f"{does.tool}: {does.documents} {why}."
    return ToolRefusedError(
        "arguments-refused", message, "Send plain YAML or JSON documents; nothing was called."
    )


def _filled(template: Mapping[str, JsonValue], words: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: _value(value, words) for name, value in template.items()}


def _value(value: JsonValue, words: Mapping[str, JsonValue]) -> JsonValue:
    if isinstance(value, Mapping):
        return _filled(value, words)
    match = _WORD.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if match[1] not in words:
        raise TargetError(
            f"the adapter asks for {match[1]!r}, which this verb does not say: correct the adapter"
        )
    return words[match[1]]
