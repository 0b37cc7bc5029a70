"""Judged is the resulting tree: the gate's base plus the change, in the notary's own scanner. The crew cannot stage either."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from policies.change import canonical, digest_of
from policies.scanner.client import ScannerProcess, scanner_command
from tests.fakes.notary import World, issued_for
from tests.fakes.signed import CHANGE_ID, ROOT, change_of, publish, publish_grants, release
from tests.unit.base.signoff.test_waiver import finding
from tools.gate.words import JudgePlan
from tools.notary.opening import Apart
from tools.notary.tree import tree_digest
from tools.notary.words import Draft, Judge, Sign
from tools.tool import ToolRefusedError

SCANNER = ROOT / ".venv-scanner" / "bin" / "python"
MAIN = b'resource "aws_security_group" "web" {\n  name        = "web"\n  description = "web"\n  ingress {\n    description = "ssh"\n    from_port   = 22\n    to_port     = 22\n    protocol    = "tcp"\n    cidr_blocks = [var.cidr]\n  }\n}\n'
OPEN = b'variable "cidr" {\n  default = "0.0.0.0/0"\n}\n'
CLOSED = OPEN.replace(b"0.0.0.0/0", b"10.0.0.0/8")


@pytest.fixture(scope="module")
def scanner() -> Iterator[ScannerProcess]:
    if not SCANNER.exists():
        pytest.skip("the scanner environment is not set up")
    with ScannerProcess(scanner_command(SCANNER)) as process:
        yield process


def world(folder: Path, base: dict[str, bytes], files: dict[str, bytes], **fields: Any) -> World:
    calls = publish_grants()
    calls[0][1]["files"] = [{"$artifact": path} for path in sorted(files)]
    change = change_of(publish().phase, files, calls)
    return World(folder, change=change, files=files, base=base, **fields)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ToolRefusedError) as no:
        call()
    return no.value.name


def test_the_base_that_the_gate_fetched_decides_over_the_very_same_change(
    tmp_path: Path, scanner: ScannerProcess
) -> None:
    files = {"infra/main.tf": MAIN}
    unsafe = world(tmp_path / "open", {"infra/variables.tf": OPEN}, files, scan=Apart(scanner))
    safe = world(tmp_path / "closed", {"infra/variables.tf": CLOSED}, files, scan=Apart(scanner))
    assert unsafe.change == safe.change
    assert "terraform/open-ingress-sensitive" in {f.rule for f in unsafe.judge().blocking}
    assert refused(unsafe.sign) == "not-clean"
    judged = safe.judge()
    assert "terraform/open-ingress-sensitive" not in {f.rule for f in judged.blocking}
    assert judged.tree_digest == tree_digest({"infra/variables.tf": CLOSED, **files})


FORGED: list[tuple[str, dict[str, bytes]]] = [
    ("variables beside the draft", {"infra/variables.tf": CLOSED}),
    ("tfvars beside the draft", {"infra/terraform.tfvars": b'cidr = "10.0.0.0/8"\n'}),
    ("a provider lock beside the draft", {"infra/.terraform.lock.hcl": b""}),
    ("a whole base beside the draft", {"infra/variables.tf": CLOSED, "README.md": b"base\n"}),
]


@pytest.mark.parametrize("beside", [row[1] for row in FORGED], ids=[row[0] for row in FORGED])
def test_bytes_that_no_artifact_names_are_not_read(tmp_path: Path, beside: dict[str, bytes]) -> None:
    here = world(tmp_path / "state", {"infra/variables.tf": OPEN}, {"infra/main.tf": MAIN})
    forged = here.draft(files={**here.files, **beside})
    assert refused(lambda: here.judge(forged)) == "bytes-extra"
    assert refused(lambda: here.sign(forged)) == "bytes-extra"
    assert here.scan.asked == []


def test_a_draft_has_no_place_for_a_base_a_plan_or_findings(tmp_path: Path) -> None:
    here = world(tmp_path / "state", {}, {"infra/main.tf": MAIN})
    content = {digest_of(data): base64.b64encode(data).decode() for data in here.files.values()}
    draft = {"change": here.change.model_dump(mode="json"), "content": content}
    assert Draft.model_validate(draft)
    for name in (
        "base",
        "base_tree",
        "variables",
        "tfvars",
        "plan",
        "findings",
        "waivers",
        "expected_commit",
    ):
        with pytest.raises(ValidationError, match="Extra inputs"):
            Draft.model_validate({**draft, name: {}})
        for kind in (Judge, Sign):
            with pytest.raises(ValidationError, match="Extra inputs"):
                kind.model_validate({"draft": draft, name: {}})


def test_what_is_scanned_is_the_gates_base_plus_the_artifacts_and_nothing_else(tmp_path: Path) -> None:
    base = {"infra/variables.tf": OPEN, "README.md": b"base\n"}
    here = world(tmp_path / "state", base, {"infra/main.tf": MAIN})
    here.sign()
    [(tree, changed, _)] = here.scan.asked
    assert tree == {**base, "infra/main.tf": MAIN}
    assert changed == {"infra/main.tf"}


def test_a_base_that_moved_since_is_judged_anew(tmp_path: Path) -> None:
    here = world(tmp_path / "state", {"infra/variables.tf": CLOSED}, {"infra/main.tf": MAIN})
    first = here.judge().tree_digest
    here.gate.issued = issued_for(here.change, {"infra/variables.tf": OPEN})
    assert here.judge().tree_digest != first
    assert [tree["infra/variables.tf"] for tree, _, _ in here.scan.asked] == [CLOSED, OPEN]


def test_a_value_file_in_the_change_is_part_of_what_is_judged(
    tmp_path: Path, scanner: ScannerProcess
) -> None:
    files = {"infra/main.tf": MAIN, "infra/z.auto.tfvars": b'cidr = "0.0.0.0/0"\n'}
    base = {"infra/variables.tf": CLOSED, "infra/terraform.tfvars": b'cidr = "10.1.0.0/16"\n'}
    here = world(tmp_path / "state", base, files, scan=Apart(scanner))
    assert "terraform/open-ingress-sensitive" in {f.rule for f in here.judge().blocking}


def test_the_scanner_keeps_nothing_from_one_signoff_to_the_next(
    tmp_path: Path, scanner: ScannerProcess
) -> None:
    """The same change judged before and after others, in the same and in a fresh child, is found to be the same."""

    def judged(name: str, base: dict[str, bytes], process: ScannerProcess) -> bytes:
        here = world(tmp_path / name, base, {"infra/main.tf": MAIN}, scan=Apart(process))
        return canonical([f.model_dump(mode="json") for f in here.judge().findings])

    first = judged("first", {"infra/variables.tf": CLOSED}, scanner)
    spoiled = {
        "infra/variables.tf": OPEN, "infra/.checkov.yaml": b"skip-check: [CKV_AWS_24]\n", "infra/broken.tf": b"resource {{{",
        "manifests/pod.yaml": b"kind: Pod\n",
    }  # fmt: skip
    assert judged("others", spoiled, scanner) != first
    assert judged("again", {"infra/variables.tf": CLOSED}, scanner) == first
    with ScannerProcess(scanner_command(SCANNER)) as fresh:
        assert judged("fresh", {"infra/variables.tf": CLOSED}, fresh) == first


PLAN = {"format_version": "1.2", "resource_changes": []}
OPENED = {
    "address": "aws_security_group.web", "type": "aws_security_group",
    "change": {"actions": ["create"], "after": {"ingress": [{"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"]}]}},
}  # fmt: skip
FILE = digest_of(b"plan file")


def test_the_worse_of_our_reading_and_the_plan_of_record_wins(tmp_path: Path) -> None:
    """A clean plan redeems no unclean reading: it is never signed. A clean reading redeems no unclean plan."""
    unclean = World(tmp_path / "unclean", change=release(), files={})
    unclean.scan.findings = (finding(),)
    assert refused(unclean.sign) == "not-clean"
    asked = JudgePlan(change_id=CHANGE_ID, signoff=FILE, plan_sha256=FILE, plan=PLAN)
    assert refused(lambda: unclean.room.judge_plan(asked)) == "unknown-signoff"

    clean = World(tmp_path / "clean", change=release(), files={})
    signed = clean.sign()
    for changes, good in (([], True), ([OPENED], False)):
        plan = {**PLAN, "resource_changes": changes}
        asked = JudgePlan(change_id=CHANGE_ID, signoff=signed.signoff, plan_sha256=FILE, plan=plan)
        verdict = clean.room.judge_plan(asked)
        assert verdict.clean is good
        assert ("terraform/open-ingress-sensitive" in {f.rule for f in verdict.findings}) is not good
