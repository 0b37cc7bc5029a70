"""checkov's checks as rules of ours: class and severity from our table, and which of them our own rules replace.

checkov has no severities offline. What the table does not name is classed by the words of its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from policies.finding import Finding, RuleClass, Severity
from policies.rules import Rule
from policies.scanner.client import Record, ScannerReport

ENGINE = "checkov"

# Our own rule judges the same fact exactly; checkov's finding is never shown.
REPLACED = frozenset(
    str.split(
        "CKV_K8S_1 CKV_K8S_2 CKV_K8S_3 CKV_K8S_4 CKV_K8S_5 CKV_K8S_6 CKV_K8S_7 CKV_K8S_8 CKV_K8S_9 "
        "CKV_K8S_10 CKV_K8S_11 CKV_K8S_12 CKV_K8S_13 CKV_K8S_14 CKV_K8S_15 CKV_K8S_16 CKV_K8S_17 "
        "CKV_K8S_18 CKV_K8S_19 CKV_K8S_20 CKV_K8S_21 CKV_K8S_22 CKV_K8S_23 CKV_K8S_24 CKV_K8S_25 "
        "CKV_K8S_26 CKV_K8S_27 CKV_K8S_28 CKV_K8S_29 CKV_K8S_30 CKV_K8S_31 CKV_K8S_37 CKV_K8S_38 "
        "CKV_K8S_39 CKV_K8S_41 CKV_K8S_42 CKV_K8S_43 CKV_K8S_49 CKV2_K8S_6 CKV_GHA_2 CKV2_GHA_1 "
        "CKV_AWS_20 CKV_AWS_57 CKV_AWS_70 CKV_AWS_53 CKV_AWS_54 CKV_AWS_55 CKV_AWS_56 CKV2_AWS_6 "
        "CKV_AWS_19 CKV_AWS_37 CKV_AWS_38 CKV_AWS_39 CKV_AWS_58 CKV_TF_1 CKV_TF_2 CKV_TF_3"
    )
)

# check -> our rule: shown only where ours said nothing about the same resource.
TWINS = {
    "CKV_AWS_3": "terraform/ebs-encryption",
    "CKV_AWS_8": "terraform/ebs-encryption",
    "CKV_AWS_106": "terraform/ebs-encryption",
    "CKV_AWS_16": "terraform/database-encryption",
    "CKV_AWS_96": "terraform/database-encryption",
    "CKV_AWS_17": "terraform/database-public",
    "CKV_AWS_24": "terraform/open-ingress-sensitive",
    "CKV_AWS_25": "terraform/open-ingress-sensitive",
    "CKV_AWS_260": "terraform/open-ingress",
    "CKV_AWS_277": "terraform/open-ingress-sensitive",
    "CKV_AWS_1": "terraform/iam-wildcard",
    "CKV_AWS_49": "terraform/iam-wildcard",
    "CKV_AWS_62": "terraform/iam-wildcard",
    "CKV_AWS_63": "terraform/iam-wildcard",
    "CKV_AWS_274": "terraform/iam-admin-policy",
    "CKV_AWS_60": "terraform/iam-open-trust",
    "CKV_AWS_61": "terraform/iam-open-trust",
    "CKV_AWS_358": "terraform/iam-open-trust",
    "CKV_AWS_41": "terraform/secret-in-code",
    "CKV_AWS_46": "terraform/secret-in-code",
    "CKV_AWS_45": "terraform/secret-in-code",
}

_CRITICAL = "CKV_AWS_1 CKV_AWS_41 CKV_AWS_46 CKV_AWS_45 CKV_AWS_62 CKV_AWS_274 CKV_AWS_17 CKV2_CSIGN_1 CKV_GHA_3 CKV_GHA_4"
_HIGH = (
    "CKV_AWS_24 CKV_AWS_25 CKV_AWS_277 CKV_AWS_49 CKV_AWS_60 CKV_AWS_61 CKV_AWS_63 CKV_AWS_107 CKV_AWS_108 CKV_AWS_110 CKV_AWS_258 "
    "CKV_AWS_301 CKV_AWS_358 CKV_AWS_79 CKV_AWS_100 CKV_AWS_3 CKV_AWS_8 CKV_AWS_16 CKV_AWS_96 CKV_AWS_32 CKV_AWS_87 CKV_GHA_1 "
    "CKV_K8S_155 CKV_K8S_156 CKV_K8S_157 CKV_K8S_158 CKV2_K8S_1 CKV2_K8S_2 CKV2_K8S_3 CKV2_K8S_4 CKV2_K8S_5"
)
# Advice: costs money, is a matter of taste, or is wrong for a good part of sound code (a KMS key policy must
# name every resource; a public subnet is there to be public; dispatch inputs carry the change's marker).
_ADVICE = (
    "CKV_AWS_18 CKV_AWS_144 CKV_AWS_145 CKV_AWS_21 CKV2_AWS_61 CKV2_AWS_62 CKV2_AWS_65 CKV_AWS_300 CKV_AWS_23 CKV_AWS_382 CKV2_AWS_5 "
    "CKV2_AWS_11 CKV2_AWS_12 CKV_AWS_130 CKV_AWS_66 CKV_AWS_158 CKV_AWS_338 CKV2_AWS_64 CKV_AWS_109 CKV_AWS_111 CKV_AWS_356 CKV_AWS_339 "
    "CKV_AWS_260 CKV_AWS_126 CKV_AWS_135 CKV_AWS_136 CKV_AWS_149 CKV2_AWS_57 CKV2_AWS_41 CKV_AWS_117 CKV_AWS_272 CKV_AWS_115 CKV_AWS_116 "
    "CKV_AWS_173 CKV_AWS_50 CKV_AWS_119 CKV_AWS_28 CKV_AWS_26 CKV_AWS_27 CKV_AWS_118 CKV_AWS_129 CKV_AWS_157 CKV_AWS_161 CKV_AWS_226 "
    "CKV_AWS_293 CKV_AWS_353 CKV_AWS_354 CKV2_AWS_30 CKV2_AWS_60 CKV2_AWS_69 CKV_AWS_341 CKV_AWS_150 CKV_AWS_91 CKV_AWS_131 CKV2_AWS_20 "
    "CKV2_AWS_28 CKV_AWS_2 CKV_AWS_103 CKV_AWS_378 CKV_AWS_148 CKV2_AWS_19 CKV2_AWS_1 CKV_K8S_35 CKV_K8S_40 CKV_GHA_5 CKV_GHA_6 CKV_GHA_7 "
    "CKV2_CSIGN_2 CKV_CSIGN_1"
)
SEVERITIES: dict[str, Severity] = {
    **dict.fromkeys(_ADVICE.split(), Severity.LOW),
    **dict.fromkeys(_HIGH.split(), Severity.HIGH),
    **dict.fromkeys(_CRITICAL.split(), Severity.CRITICAL),
}

_BY_WORDS: tuple[tuple[RuleClass, str], ...] = (
    (RuleClass.SECRETS, r"hard.?coded|secret|credential|password|access key"),
    (RuleClass.OPEN_INGRESS, r"ingress|0\.0\.0\.0|security group"),
    (RuleClass.PUBLIC_ENDPOINT, r"public"),
    (RuleClass.ENCRYPTION, r"encrypt|kms|cmk|\btls\b|\bssl\b|https"),
    (RuleClass.IAM, r"\biam\b|polic|privilege|permission|\brole\b|principal|administrator|access entr"),
    (RuleClass.LOGGING, r"\blog|monitor|audit|trail|tracing"),
)
_STRICT = frozenset(
    {
        RuleClass.SECRETS,
        RuleClass.PUBLIC_STORAGE,
        RuleClass.OPEN_INGRESS,
        RuleClass.PUBLIC_ENDPOINT,
        RuleClass.ENCRYPTION,
        RuleClass.IAM,
    }
)
_OPTIONAL = re.compile(r"cmk|customer.managed|customer managed|by default|retention|rotat", re.IGNORECASE)


def checkov_rule(check: str, name: str) -> Rule:
    """The rule for a check of checkov; the same for the same id and name, always."""
    rule_class = _class(check, name)
    unlisted = Severity.MEDIUM if rule_class in _STRICT and not _OPTIONAL.search(name) else Severity.LOW
    return Rule(
        id=f"{ENGINE}/{check}",
        rule_class=rule_class,
        severity=SEVERITIES.get(check, unlisted),
        why=f"checkov {check}: {name}.",
        remedy=f"{name}.",
    )


def _class(check: str, name: str) -> RuleClass:
    if "_GHA_" in check:
        return RuleClass.WORKFLOW
    if "_K8S_" in check:
        rbac = re.search(r"role|bind|permission|impersonat|escalat|service ?account", name, re.IGNORECASE)
        return RuleClass.RBAC if rbac else RuleClass.POD_SECURITY
    for rule_class, words in _BY_WORDS:
        if re.search(words, name, re.IGNORECASE):
            storage = rule_class is RuleClass.PUBLIC_ENDPOINT and re.search(
                r"s3|bucket|storage|blob", name, re.IGNORECASE
            )
            return RuleClass.PUBLIC_STORAGE if storage else rule_class
    return RuleClass.RELIABILITY


def checkov_findings(report: ScannerReport, ours: Iterable[Finding]) -> Iterator[Finding]:
    """Checkov's records as findings, without those that our own rules already say."""
    said = {(finding.rule, finding.path, finding.resource) for finding in ours}
    for record in report.records:
        if record.check in REPLACED:
            continue
        resource = _resource(record)
        if (TWINS.get(record.check, ""), record.path, resource) in said:
            continue
        tried = "; the change tried to skip this check" if record.skipped else ""
        yield checkov_rule(record.check, record.name).finding(
            record.path, resource, f"{resource}: {record.name}{tried}", line=record.line, engine=ENGINE
        )


def _resource(record: Record) -> str:
    """Checkov's Deployment.web.nginx as Deployment/nginx, as our own findings call it."""
    parts = record.resource.split(".")
    if "_K8S_" in record.check and len(parts) >= 3:
        return f"{parts[0]}/{'.'.join(parts[2:])}"
    return record.resource
