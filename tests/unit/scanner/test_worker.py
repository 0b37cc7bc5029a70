from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path

import pytest

# checkov's own dependencies warn of deprecations while they are imported and used; they are not ours to turn into errors
pytestmark = pytest.mark.filterwarnings("ignore")
with warnings.catch_warnings(action="ignore"):
    from policies.scanner import __main__ as worker
    from policies.scanner import scan

BUCKET = b'resource "aws_s3_bucket" "logs" {\n  bucket = "x"\n}\n'
POD = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\nspec: {containers: [{name: c, image: d}]}\n"
WORKFLOW = b"name: w\non: [push]\njobs:\n  a:\n    runs-on: u\n    steps:\n      - run: echo ${{ github.head_ref }}\n"


def checks(answer: dict[str, object]) -> set[tuple[str, str]]:
    records = answer["records"]
    assert isinstance(records, list)
    return {(record["path"], record["check"]) for record in records}


def test_each_framework_reads_its_files() -> None:
    found = checks(
        scan.scan_tree({"main.tf": BUCKET, "k/pod.yaml": POD, ".github/workflows/w.yml": WORKFLOW})
    )
    assert {
        ("main.tf", "CKV2_AWS_6"),
        ("k/pod.yaml", "CKV_K8S_20"),
        (".github/workflows/w.yml", "CKV_GHA_2"),
    } <= found


def test_every_file_is_accounted_for_by_its_digest() -> None:
    files = {"main.tf": BUCKET, "README.md": b"x", "empty.yaml": b""}
    answer = scan.scan_tree(files)
    assert answer["files"] == {
        path: "sha256:" + hashlib.sha256(data).hexdigest() for path, data in files.items()
    }
    assert "README.md" in answer["unread"]
    assert answer["scanner"].startswith("checkov@3.")


def test_what_cannot_be_parsed_is_named() -> None:
    assert scan.scan_tree({"bad.tf": b'resource "a" {{{', "main.tf": BUCKET})["parsing_errors"] == ["bad.tf"]


def test_inline_skips_are_not_collected() -> None:
    skipped = BUCKET.replace(b"{\n", b"{\n  #checkov:skip=CKV_AWS_21:no\n", 1)
    assert ("main.tf", "CKV_AWS_21") in checks(scan.scan_tree({"main.tf": skipped}))


def test_records_come_in_one_order() -> None:
    files = {"main.tf": BUCKET, "pod.yaml": POD}
    assert scan.scan_tree(files)["records"] == scan.scan_tree(files)["records"]


@pytest.mark.parametrize("path", ["../x.tf", "a/../../x.tf", "/etc/x.tf"])
def test_nothing_is_written_outside_the_scratch_folder(path: str) -> None:
    with pytest.raises(ValueError, match="outside the tree"):
        scan.scan_tree({path: BUCKET})


def test_each_request_lives_in_a_process_of_its_own_and_leaves_nothing_in_the_next(tmp_path: Path) -> None:
    kept: list[int] = []

    def answer(request: dict[str, object]) -> dict[str, object]:
        kept.append(os.getpid())
        return {"files": {}, "kept": len(kept), "pid": os.getpid()}

    with (tmp_path / "answers").open("wb") as answers:
        for number in (1, 2):
            worker._serve(json.dumps({"id": number}).encode(), answers, answer)
    said = [json.loads(line) for line in (tmp_path / "answers").read_text().splitlines()]
    assert [(one["id"], one["kept"]) for one in said] == [(1, 1), (2, 1)]
    assert len({one["pid"] for one in said} | {os.getpid()}) == 3
    assert kept == []
