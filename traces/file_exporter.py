"""Spans as OTLP JSON, one `ExportTraceServiceRequest` a line: what collectors' file receivers read."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class FileExporter(SpanExporter):
    """Appends whole lines with O_APPEND, so that several processes may share one file."""

    def __init__(self, path: Path) -> None:
        # the crew may write beside this file: a link there must not lead us into another one
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(path, flags, 0o600)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write one line for these spans; a full disk fails the export and never the run."""
        request = _hex_ids(MessageToDict(encode_spans(spans)))
        line = json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        try:
            os.write(self._handle, line)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        os.close(self._handle)


def _hex_ids(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """OTLP JSON wants ids in hex where protobuf's JSON mapping has base64."""
    if isinstance(value, dict):
        ids = {"traceId", "spanId", "parentSpanId"}
        return {k: base64.b64decode(v).hex() if k in ids else _hex_ids(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_hex_ids(item) for item in value]
    return value
