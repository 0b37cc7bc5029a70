"""One trace across processes, kept as OTLP JSON lines, drawn as a waterfall; never contents."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from traces import waterfall

ROOT = Path(__file__).resolve().parents[4]
PARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

PROGRAM = """
import sys
from pathlib import Path
from traces import setup, spans
close = setup.setup(sys.argv[2], traceparent=sys.argv[3], file=Path(sys.argv[1]), otlp_endpoint=None)
with spans.span("gate.submit", {"countersign.role": "devops"}):
    print(spans.carrier()["traceparent"])
    try:
        with spans.span("gate.admit", {"countersign.denial": "expired"}):
            raise ValueError("the secret is hunter2")
    except ValueError:
        pass
close()
"""


def run(path: Path, service: str, parent: str) -> str:
    command = [sys.executable, "-c", PROGRAM, str(path), service, parent]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def test_two_processes_share_one_trace_and_one_file(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    handed_on = run(file, "gate", PARENT)
    run(file, "notary", handed_on)
    spans = waterfall.read(file)
    assert {s.trace_id for s in spans} == {"0123456789abcdef0123456789abcdef"}
    assert {s.service for s in spans} == {"gate", "notary"}
    by_id = {s.span_id: s for s in spans}
    parents = {(s.service, s.name): by_id[s.parent].name for s in spans if s.parent in by_id}
    assert parents[("gate", "gate.admit")] == "gate.submit"
    assert parents[("notary", "gate.submit")] == "gate.submit"
    assert "hunter2" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_waterfall_shows_nesting_and_the_denial(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    run(file, "gate", PARENT)
    lines = waterfall.draw(waterfall.read(file))
    assert len(lines) == 2
    assert "gate.submit devops" in lines[0]
    assert "  gate.admit ✗ expired" in lines[1]


def test_a_corrupted_trace_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text(json.dumps({"resourceSpans": []}) + "\n{oops\n")
    with pytest.raises(ValueError, match=r"trace\.jsonl:2 is not OTLP JSON"):
        waterfall.read(file)


def test_a_link_in_the_traces_place_is_not_followed(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text("entries")
    (tmp_path / "trace.jsonl").symlink_to(journal)
    with pytest.raises(subprocess.CalledProcessError):
        run(tmp_path / "trace.jsonl", "gate", PARENT)
    assert journal.read_text() == "entries"
