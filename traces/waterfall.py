"""A run's trace file as a waterfall in text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BAR = 40
SHOWN = (
    "countersign.role",
    "countersign.phase",
    "gen_ai.tool.name",
    "countersign.grant.name",
    "countersign.verdict",
)


@dataclass(frozen=True)
class SpanLine:
    """One span as read back: times in nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent: str
    service: str
    name: str
    start: int
    end: int
    attributes: dict[str, str]
    error: bool


def read(path: Path) -> list[SpanLine]:
    """Every span of the file in order of start. Raises ValueError naming the first line that is no OTLP JSON."""
    spans: list[SpanLine] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            spans.extend(_spans(json.loads(line)))
        except (KeyError, TypeError, ValueError) as fault:
            raise ValueError(f"{path}:{number} is not OTLP JSON: {fault!r}") from fault
    return sorted(spans, key=lambda s: (s.start, s.end))


def _spans(request: dict[str, Any]) -> Iterator[SpanLine]:
    for resource in request.get("resourceSpans", ()):
        service = _attributes(resource["resource"]).get("service.name", "?")
        for scope in resource.get("scopeSpans", ()):
            for raw in scope.get("spans", ()):
                yield SpanLine(
                    trace_id=raw["traceId"],
                    span_id=raw["spanId"],
                    parent=raw.get("parentSpanId", ""),
                    service=service.removeprefix("countersign."),
                    name=raw["name"],
                    start=int(raw["startTimeUnixNano"]),
                    end=int(raw["endTimeUnixNano"]),
                    attributes=_attributes(raw),
                    error=raw.get("status", {}).get("code") == "STATUS_CODE_ERROR",
                )


def _attributes(holder: dict[str, Any]) -> dict[str, str]:
    return {a["key"]: str(next(iter(a["value"].values()), "")) for a in holder.get("attributes", ())}


def draw(spans: list[SpanLine]) -> list[str]:
    """One line a span: offset, duration, bar, service, indented name, telling attributes."""
    if not spans:
        return ["no spans"]
    start, end = min(s.start for s in spans), max(s.end for s in spans)
    scale = max(end - start, 1)
    children: dict[str, list[SpanLine]] = {}
    known = {s.span_id for s in spans}
    for item in spans:
        children.setdefault(item.parent if item.parent in known else "", []).append(item)
    lines: list[str] = []

    def visit(parent: str, depth: int) -> None:
        for item in children.get(parent, ()):
            left = (item.start - start) * BAR // scale
            width = max(1, (item.end - item.start) * BAR // scale)
            bar = (" " * left + "█" * width)[:BAR].ljust(BAR)
            told = "".join(f" {item.attributes[key]}" for key in SHOWN if key in item.attributes)
            mark = (
                " ✗ " + item.attributes.get("countersign.denial", item.attributes.get("error.type", ""))
                if item.error
                else ""
            )
            lines.append(
                f"{(item.start - start) / 1e6:9.1f} {(item.end - item.start) / 1e6:8.1f} ms {bar} "
                f"{item.service:9} {'  ' * depth}{item.name}{told}{mark}".rstrip()
            )
            visit(item.span_id, depth + 1)

    visit("", 0)
    return lines
