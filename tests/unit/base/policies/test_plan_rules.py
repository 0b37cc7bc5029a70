from __future__ import annotations

import json
from typing import Any

import pytest

from policies.plan_rules import judge_plan


def plan(
    kind: str = "aws_s3_bucket",
    actions: tuple[str, ...] = ("create",),
    after: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    change = {
        "address": f"{kind}.x",
        "type": kind,
        "mode": "managed",
        "change": {"actions": list(actions), "after": after},
    }
    return {"format_version": "1.2", "resource_changes": [change], **more}


OPEN = {"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"]}
CLOSED = {**OPEN, "cidr_blocks": ["10.0.0.0/8"]}
SWITCHES = dict.fromkeys(
    ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"), True
)
PUBLIC = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}]}
)
TABLE = [
    (plan("aws_instance", ("delete",)), ["plan/destroy"]),
    (plan("aws_instance", ("delete", "create")), ["plan/replace"]),
    (plan("aws_instance", ("create", "delete")), ["plan/replace"]),
    (plan("aws_db_instance", ("delete",)), ["plan/destroy-stateful"]),
    (plan("aws_s3_bucket", ("create", "delete")), ["plan/destroy-stateful"]),
    (plan("aws_instance", ("forget",)), ["plan/forget"]),
    (plan("aws_instance", ("explode",)), ["plan/unreadable"]),
    (plan("aws_instance", ()), ["plan/unreadable"]),
    (plan("aws_instance", ("no-op",)), []),
    (plan("aws_instance", ("create",), {}), []),
    (plan(errored=True), ["plan/errored"]),
    (plan(resource_drift=[{"address": "a.b"}]), ["plan/drift"]),
    (plan("aws_security_group", after={"ingress": [OPEN]}), ["terraform/open-ingress-sensitive"]),
    (plan("aws_security_group", after={"ingress": [CLOSED]}), []),
    (
        plan("aws_security_group_rule", ("update",), {"type": "ingress", **OPEN}),
        ["terraform/open-ingress-sensitive"],
    ),
    (plan("aws_security_group_rule", after={"type": "egress", **OPEN}), []),
    (
        plan("aws_vpc_security_group_ingress_rule", after={"ip_protocol": "-1", "cidr_ipv6": "::/0"}),
        ["terraform/open-ingress-sensitive"],
    ),
    (plan("aws_s3_bucket_public_access_block", after=SWITCHES), []),
    (
        plan("aws_s3_bucket_public_access_block", after={**SWITCHES, "ignore_public_acls": False}),
        ["terraform/s3-public-access-block"],
    ),
    (plan("aws_s3_bucket_acl", after={"acl": "public-read"}), ["terraform/s3-public-acl"]),
    (plan("aws_s3_bucket_acl", after={"acl": "private"}), []),
    (plan("aws_s3_bucket_policy", after={"policy": PUBLIC}), ["terraform/s3-public-policy"]),
    (plan("aws_s3_bucket_policy", after={"policy": PUBLIC.replace("Allow", "Deny")}), []),
    (plan("aws_s3_bucket_policy", after={"policy": "{"}), ["plan/unreadable"]),
    (
        plan("aws_eks_cluster", after={"vpc_config": [{"endpoint_public_access": True}]}),
        ["terraform/eks-public-endpoint"],
    ),
    (plan("aws_eks_cluster", after={"vpc_config": [{"endpoint_public_access": False}]}), []),
    (plan("aws_db_instance", after={"publicly_accessible": True}), ["terraform/database-public"]),
    ({}, ["plan/unreadable"]),
    ({"format_version": "9.0", "resource_changes": []}, ["plan/unreadable"]),
    ({"format_version": "1.2", "resource_changes": {}}, ["plan/unreadable"]),
    ({"format_version": "1.2", "resource_changes": []}, []),
]


@pytest.mark.parametrize(("given", "expected"), TABLE)
def test_what_a_plan_would_do(given: dict[str, Any], expected: list[str]) -> None:
    found = judge_plan(given)
    assert [f.rule for f in found] == expected
    assert {f.engine for f in found} <= {"plan"}


def test_a_data_source_is_read_and_not_destroyed() -> None:
    given = plan("aws_instance", ("delete",))
    given["resource_changes"][0]["mode"] = "data"
    assert judge_plan(given) == []
