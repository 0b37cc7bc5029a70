"""One tracer provider per process: OTLP JSON lines to the run's folder always, OTLP to a collector when set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

QUEUE = 65536  # the default of 2048 dropped a tenth of a busy run's spans


def setup(
    service: str, *, traceparent: str | None, file: Path | None, otlp_endpoint: str | None
) -> Callable[[], None]:
    """Record this process's spans under `service`; the result flushes and closes. Call once.

    `traceparent` (W3C) makes every span of the process part of that trace. Without file and endpoint
    nothing is recorded.
    """
    if file is None and otlp_endpoint is None:
        return lambda: None
    provider = TracerProvider(resource=Resource.create({"service.name": f"countersign.{service}"}))
    if file is not None:
        from traces.file_exporter import FileExporter  # noqa: PLC0415 - protobuf only where spans are kept

        provider.add_span_processor(SimpleSpanProcessor(FileExporter(file)))
    if otlp_endpoint is not None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        url = otlp_endpoint.rstrip("/") + "/v1/traces"
        provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=5), max_queue_size=QUEUE)
        )
    trace.set_tracer_provider(provider)
    if traceparent is not None:
        otel_context.attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}))

    def close() -> None:
        provider.force_flush(3000)
        provider.shutdown()

    return close
