from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import waiver
from policies.finding import Finding, RuleClass, Severity
from policies.refusal import GateError
from policies.trust import Trust
from policies.waiver import SignedWaiver, Waiver
from tests.fakes.signed import NOW, SANDBOX, Case, entry

SIGNER = CryptoSigner.generate_ed25519()
TRUST = Trust(keys=(entry(SIGNER, "waiver"),))


def written(**edits: Any) -> Waiver:
    said: dict[str, Any] = {
        "rule": "terraform/open-ingress", "path": "infra/main.tf", "resource": "aws_security_group.*", "reason": "accepted until the move",
        "owner": "kim", "expires": "2026-12-01T00:00:00Z", "rehearsal": True,
    }  # fmt: skip
    return Waiver(**{**said, **edits})


def finding(**edits: Any) -> Finding:
    said: dict[str, Any] = {
        "rule": "terraform/open-ingress", "rule_class": RuleClass.OPEN_INGRESS, "severity": Severity.HIGH, "engine": "countersign",
        "path": "infra/main.tf", "resource": "aws_security_group.web", "message": "m", "why": "w",
    }  # fmt: skip
    return Finding(**{**said, **edits})


def verified(bundle: str | None = None, **edits: Any) -> SignedWaiver:
    said: dict[str, Any] = {"trust": TRUST, "now": NOW, "profile": SANDBOX, "requester": "unsigned"}
    return waiver.verify(bundle or waiver.sign(written(), SIGNER), **{**said, **edits})


def test_a_signed_waiver_excuses_the_finding_it_names() -> None:
    blocking, excused = waiver.split([finding()], [verified()], SANDBOX)
    assert blocking == []
    assert [(f.rule, w.waiver.owner) for f, w in excused] == [("terraform/open-ingress", "kim")]


@pytest.mark.parametrize(
    "edit", [{"rule": "terraform/other"}, {"path": "infra/other.tf"}, {"resource": "aws_vpc.main"}]
)
def test_it_excuses_nothing_else(edit: dict[str, str]) -> None:
    blocking, excused = waiver.split([finding(**edit)], [verified()], SANDBOX)
    assert len(blocking) == 1
    assert excused == []


def test_findings_below_the_threshold_need_no_waiver() -> None:
    assert waiver.split([finding(severity=Severity.LOW)], [], SANDBOX) == ([], [])


@pytest.mark.parametrize(
    ("bundle", "edits", "name"),
    [
        (waiver.sign(written(expires="2026-11-02T09:00:00Z"), SIGNER), {}, "waiver-expired"),
        (waiver.sign(written(rehearsal=False), SIGNER), {}, "waiver-role"),
        (waiver.sign(written(rule="scope/path"), SIGNER), {}, "never-waived"),
        (None, {"profile": SANDBOX.model_copy(update={"never_waive": ("terraform/*",)})}, "never-waived"),
        (None, {"requester": SIGNER.public_key.keyid}, "waiver-role"),
        (None, {"trust": Trust(keys=(entry(SIGNER, "security"),))}, "waiver-role"),
        (None, {"trust": Trust()}, "unknown-key"),
        (
            None,
            {"trust": Trust(keys=(entry(SIGNER, "waiver", not_after="2026-11-02T08:00:00Z"),))},
            "waiver-expired",
        ),
        (None, {"trust": Trust(keys=(entry(SIGNER, "waiver", revoked=True),))}, "unknown-key"),
        (None, {"profile": SANDBOX.model_copy(update={"rehearsal": False})}, "waiver-role"),
        (Case.publish(signer=SIGNER).bundle, {}, "unknown-shape"),
        (waiver.sign(written(), SIGNER) + " ", {}, "not-canonical"),
    ],
)
def test_each_edit_is_a_named_no(bundle: str | None, edits: dict[str, Any], name: str) -> None:
    with pytest.raises(GateError) as no:
        verified(bundle, **edits)
    assert no.value.name == name


def test_a_waiver_unlocks_no_call() -> None:
    case = Case.publish(signer=SIGNER)
    with pytest.raises(GateError) as no:
        case.but(bundle=waiver.sign(written(), SIGNER)).ask()
    assert no.value.name == "statement-type"
