from __future__ import annotations

import sys
import textwrap
import time

import pytest

from policies.apart import scan_apart
from policies.change import digest_of
from policies.scanner.client import ScannerFaultError, ScannerProcess, ScannerReport, account_for
from tests.fakes.scanning import CONTEXT

FILES = {"a.tf": b"x = 1\n", "b.yaml": b"a: 1\n"}
HONEST = """
import base64, hashlib, json, sys
print(json.dumps({"ready": "checkov@1"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    files = {p: "sha256:" + hashlib.sha256(base64.b64decode(d)).hexdigest() for p, d in request["files"].items()}
    answer = {"id": request["id"], "scanner": "checkov@1", "files": files}
    EDIT
    print(json.dumps(answer), flush=True)
"""


def worker(edit: str = "pass", whole: str | None = None, deadline: float = 10.0) -> ScannerProcess:
    source = textwrap.dedent(whole) if whole is not None else HONEST.replace("EDIT", edit)
    return ScannerProcess((sys.executable, "-S", "-c", source), deadline=deadline)


def scanner_fails(scanner: ScannerProcess, reason: str) -> None:
    with pytest.raises(ScannerFaultError, match=reason):
        scanner.scan(FILES)


def test_an_honest_worker_is_believed_again_and_again() -> None:
    with worker() as scanner:
        for _ in range(3):
            report = scanner.scan(FILES)
            assert report.scanner == "checkov@1"
            assert dict(report.files) == {path: digest_of(data) for path, data in FILES.items()}


def test_a_large_tree_does_not_block_the_pipes() -> None:
    with worker('answer["unread"] = ["x" * 1000] * 500') as scanner:
        assert len(scanner.scan({f"{n}.tf": b"x" * 100_000 for n in range(30)}).unread) == 500


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ('files.pop("a.tf")', "does not account for a.tf"),
        ('files["a.tf"] = "sha256:" + "0" * 64', "does not account for a.tf"),
        ('files["extra.tf"] = files["a.tf"]', "does not account for extra.tf"),
        ('answer["id"] = 99', "another request"),
        ('answer = {"id": request["id"], "error": "broken"}', "broken"),
        ('answer["extra"] = 1', "another shape"),
        ("answer = []", "with an object"),
        ("sys.exit(1)", "died"),
        ('print("x", flush=True); continue', "in JSON"),
    ],
)
def test_whatever_else_is_a_fault(edit: str, reason: str) -> None:
    with worker(edit) as scanner, pytest.raises(ScannerFaultError, match=reason):
        scanner.scan(FILES)


def test_a_worker_that_hangs_is_ended_at_the_deadline() -> None:
    started = time.monotonic()
    with worker(whole="import sys; sys.stdin.readline(); sys.stdin.readline()", deadline=0.3) as scanner:
        scanner_fails(scanner, "within 0.3 s")
    assert time.monotonic() - started < 5


def test_a_missing_scanner_is_a_fault() -> None:
    with pytest.raises(ScannerFaultError, match="cannot start"):
        ScannerProcess(("/nonexistent/python",))


def test_a_dead_worker_is_started_again_for_the_next_scan() -> None:
    with worker('request["id"] > 1 or sys.exit(1)') as scanner:
        scanner_fails(scanner, "died")
        assert scanner.scan(FILES).scanner == "checkov@1"


def test_the_worker_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    with worker('import os; answer["unread"] = sorted(os.environ)') as scanner:
        assert set(scanner.scan({}).unread) <= {"PATH", "HOME", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE"}


JUDGES = HONEST.replace('request["files"]', 'request["judge"]["tree"]').replace(
    '"scanner": "checkov@1", "files": files',
    '"files": files, "result": {"findings": [], "engines": ["e@1"], "judged": request["judge"]["changed"]}',
)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ("pass", None),
        ('files.pop("a.tf")', "does not account for a.tf"),
        ('files["b.yaml"] = files["a.tf"]', "does not account for b.yaml"),
        ('files["extra.tf"] = files["a.tf"]', "does not account for extra.tf"),
        ("files.clear()", "does not account for"),
        ('answer["result"]["judged"] = []', "exactly the files of the change"),
        ('answer["result"]["judged"].append("b.yaml")', "exactly the files of the change"),
        ('answer["clean"] = True', "another shape"),
        ('answer.pop("result")', "another shape"),
    ],
)
def test_a_judgement_accounts_for_every_file_of_the_tree(edit: str, reason: str | None) -> None:
    source = textwrap.dedent(JUDGES.replace("EDIT", edit))
    with ScannerProcess((sys.executable, "-S", "-c", source), deadline=10) as process:
        if reason is None:
            assert scan_apart(FILES, {"a.tf"}, context=CONTEXT, process=process).judged == ("a.tf",)
            return
        with pytest.raises(ScannerFaultError, match=reason):
            scan_apart(FILES, {"a.tf"}, context=CONTEXT, process=process)


def test_accounting_is_exact() -> None:
    report = ScannerReport(scanner="s", files={path: digest_of(data) for path, data in FILES.items()})
    account_for(report.files, FILES)
    with pytest.raises(ScannerFaultError):
        account_for(report.files, {**FILES, "c.tf": b""})
