from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from policies.checkov_rules import REPLACED, SEVERITIES, TWINS, checkov_rule
from policies.finding import RuleClass, Severity
from policies.rules import RULES, rule, table_digest

POLICIES = Path(__file__).resolve().parents[4] / "policies"
IDS = {entry.id for entry in RULES}
SOURCES = {
    p: p.read_text(encoding="utf-8")
    for p in [*POLICIES.glob("*.py"), *POLICIES.glob("rego/*.rego")]
    if p.name != "rules.py"
}
NAME = re.compile(
    r'"((?:reading|pod-security|kubernetes|rbac|terraform|plan|workflow|gitops|rego)/[a-z0-9-]+)"'
)


def test_each_rule_has_one_id_a_reason_and_a_remedy() -> None:
    assert [name for name, count in Counter(entry.id for entry in RULES).items() if count > 1] == []
    for entry in RULES:
        assert entry.why.endswith("."), entry.id
        assert entry.remedy.endswith("."), entry.id


def test_every_rule_that_an_engine_names_is_in_the_table_and_the_other_way_round() -> None:
    named = {name for text in SOURCES.values() for name in NAME.findall(text)}
    assert named - IDS == set()
    assert IDS - named == set()


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(KeyError):
        rule("no/such-rule")


def test_every_class_that_the_words_name_has_a_rule() -> None:
    assert set(RuleClass) - {entry.rule_class for entry in RULES} == set()


def test_twins_name_rules_of_ours() -> None:
    assert set(TWINS.values()) <= IDS
    assert not set(TWINS) & REPLACED


@pytest.mark.parametrize(
    ("check", "name", "rule_class", "severity"),
    [
        (
            "CKV_AWS_24",
            "Ensure no security groups allow ingress from 0.0.0.0:0 to port 22",
            RuleClass.OPEN_INGRESS,
            Severity.HIGH,
        ),
        ("CKV_AWS_999", "Ensure that the queue is encrypted", RuleClass.ENCRYPTION, Severity.MEDIUM),
        (
            "CKV_AWS_999",
            "Ensure that the queue is encrypted with a customer managed key (CMK)",
            RuleClass.ENCRYPTION,
            Severity.LOW,
        ),
        ("CKV_AWS_999", "Ensure multi-AZ is enabled", RuleClass.RELIABILITY, Severity.LOW),
        (
            "CKV_AWS_144",
            "Ensure that S3 bucket has cross-region replication enabled",
            RuleClass.RELIABILITY,
            Severity.LOW,
        ),
        ("CKV2_K8S_5", "No ServiceAccount/Node should be able to impersonate", RuleClass.RBAC, Severity.HIGH),
        ("CKV_GHA_3", "Suspicious use of curl with secrets", RuleClass.WORKFLOW, Severity.CRITICAL),
    ],
)
def test_checkovs_checks_get_class_and_severity_from_us(
    check: str, name: str, rule_class: RuleClass, severity: Severity
) -> None:
    found = checkov_rule(check, name)
    assert (found.id, found.rule_class, found.severity) == (f"checkov/{check}", rule_class, severity)


def test_the_severity_table_names_no_check_that_is_never_shown() -> None:
    assert set(SEVERITIES) & REPLACED == set()


def test_the_tables_digest_is_stable() -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", table_digest())
    assert table_digest() == table_digest()
