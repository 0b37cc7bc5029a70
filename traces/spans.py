"""Spans of the run's one trace. Before `traces.setup.setup` they cost nothing and go nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Attribute = str | int | float | bool
_PROPAGATOR = TraceContextTextMapPropagator()


@contextlib.contextmanager
def span(name: str, attributes: Mapping[str, Attribute] | None = None) -> Iterator[trace.Span]:
    """A child of the current span. An exception that leaves the block marks it as an error, by type name only."""
    tracer = trace.get_tracer("countersign")
    with tracer.start_as_current_span(
        name, attributes=dict(attributes or {}), record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as fault:
            current.set_attribute("error.type", type(fault).__name__)
            current.set_status(trace.StatusCode.ERROR)
            raise


def carrier() -> dict[str, str]:
    """The current context as W3C fields, for MCP's `_meta` and for a child's settings."""
    fields: dict[str, str] = {}
    _PROPAGATOR.inject(fields)
    return fields


@contextlib.contextmanager
def remote(fields: Mapping[str, str]) -> Iterator[None]:
    """Continue the trace that a caller handed over; a malformed context starts no trace and is ignored."""
    token = otel_context.attach(_PROPAGATOR.extract(dict(fields)))
    try:
        yield
    finally:
        otel_context.detach(token)


def trace_id() -> str:
    """The current trace id, 32 hex digits; zeros when nothing is recorded."""
    return format(trace.get_current_span().get_span_context().trace_id, "032x")
