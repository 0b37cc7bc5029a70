"""The plan of record, `terraform show -json`: what would really happen, with the real state in view."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from policies.finding import Finding
from policies.kubernetes_objects import mapping, sequence
from policies.rules import rule
from policies.terraform_network import exposed, is_everybody
from policies.terraform_storage import SWITCHES, is_public

ENGINE = "plan"
_STATEFUL = frozenset(
    str.split(
        "aws_s3_bucket aws_db_instance aws_rds_cluster aws_rds_cluster_instance aws_dynamodb_table "
        "aws_efs_file_system aws_ebs_volume aws_kms_key aws_secretsmanager_secret "
        "aws_elasticache_replication_group aws_docdb_cluster aws_neptune_cluster aws_opensearch_domain "
        "aws_redshift_cluster aws_eks_cluster aws_ecr_repository aws_backup_vault "
        "aws_fsx_lustre_file_system aws_msk_cluster aws_cloudwatch_log_group aws_ssm_parameter"
    )
)  # fmt: skip
_KNOWN_ACTIONS = frozenset({"no-op", "create", "read", "update", "delete", "forget"})


def judge_plan(plan: Mapping[str, Any], path: str = "plan.json") -> list[Finding]:
    """Findings on a plan's JSON. A plan of an unknown shape is a finding, never clean."""
    changes = plan.get("resource_changes")
    version = str(plan.get("format_version", ""))
    if not version.startswith("1.") or not (isinstance(changes, list) or "planned_values" in plan):
        return [_found("plan/unreadable", path, path, f"{path} is no plan in format 1.x")]
    found: list[Finding] = []
    if plan.get("errored"):
        found.append(_found("plan/errored", path, path, f"{path} comes from a plan that ended in an error"))
    for change in map(mapping, sequence(changes)):
        found += _change(path, change)
    for drift in map(mapping, sequence(plan.get("resource_drift"))):
        address = str(drift.get("address"))
        found.append(_found("plan/drift", path, address, f"{address} was changed outside Terraform"))
    return sorted(found, key=lambda finding: (-finding.severity.rank, finding.resource, finding.rule))


def _found(name: str, path: str, resource: str, message: str) -> Finding:
    return rule(name).finding(path, resource, message, engine=ENGINE)


def _change(path: str, change: dict[str, Any]) -> Iterator[Finding]:
    address, kind = str(change.get("address")), str(change.get("type"))
    body = mapping(change.get("change"))
    actions = [str(action) for action in sequence(body.get("actions"))]
    if not actions or set(actions) - _KNOWN_ACTIONS:
        yield _found(
            "plan/unreadable", path, address, f"{address} would be changed in an unknown way: {actions}"
        )
        return
    if "delete" in actions and change.get("mode", "managed") == "managed":
        replaced = "create" in actions
        if kind in _STATEFUL:
            name = "plan/destroy-stateful"
        else:
            name = "plan/replace" if replaced else "plan/destroy"
        yield _found(name, path, address, f"{address} would be {'replaced' if replaced else 'destroyed'}")
    if "forget" in actions:
        yield _found("plan/forget", path, address, f"Terraform would forget {address}")
    if {"create", "update"} & set(actions):
        yield from _planned(path, address, kind, mapping(body.get("after")))


def _planned(path: str, address: str, kind: str, after: dict[str, Any]) -> Iterator[Finding]:
    """The same facts as in code, on values that are now known."""
    judge = {
        "aws_security_group": _group,
        "aws_default_security_group": _group,
        "aws_security_group_rule": _group_rule,
        "aws_vpc_security_group_ingress_rule": _ingress_rule,
        "aws_s3_bucket_public_access_block": _access_block,
        "aws_s3_bucket_acl": _acl,
        "aws_s3_bucket": _acl,
        "aws_s3_bucket_policy": _policy,
        "aws_eks_cluster": _cluster,
    }.get(kind)
    if judge:
        yield from judge(path, address, after)
    if after.get("publicly_accessible") is True:
        yield _found("terraform/database-public", path, address, f"{address} is publicly accessible")


_CIDR_LISTS = ("cidr_blocks", "ipv6_cidr_blocks")


def _group(path: str, address: str, after: Mapping[str, Any]) -> Iterator[Finding]:
    for entry in map(mapping, sequence(after.get("ingress"))):
        yield from _ingress(path, address, entry, _CIDR_LISTS)


def _group_rule(path: str, address: str, after: Mapping[str, Any]) -> Iterator[Finding]:
    if after.get("type") == "ingress":
        yield from _ingress(path, address, after, _CIDR_LISTS)


def _ingress_rule(path: str, address: str, after: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _ingress(path, address, after, ("cidr_ipv4", "cidr_ipv6"))


def _access_block(path: str, address: str, after: Mapping[str, Any]) -> Iterator[Finding]:
    off = [switch for switch in SWITCHES if after.get(switch) is not True]
    if off:
        yield _found(
            "terraform/s3-public-access-block", path, address, f"{address} leaves {', '.join(off)} off"
        )


def _acl(path: str, address: str, after: Mapping[str, Any]) -> Iterator[Finding]:
    if str(after.get("acl", "")).startswith(("public-", "authenticated-")):
        yield _found("terraform/s3-public-acl", path, address, f"{address} has the ACL {after['acl']}")


def _ingress(path: str, address: str, values: Mapping[str, Any], keys: tuple[str, str]) -> Iterator[Finding]:
    cidrs = [cidr for key in keys for cidr in (sequence(values.get(key)) or [values.get(key)]) if cidr]
    wide = [str(cidr) for cidr in cidrs if is_everybody(cidr)]
    sensitive, ports = exposed(values)
    if wide and ports != "nothing":
        name = "terraform/open-ingress-sensitive" if sensitive else "terraform/open-ingress"
        yield _found(name, path, address, f"{address} lets {', '.join(wide)} reach {ports}")


def _policy(path: str, address: str, after: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        document = json.loads(str(after.get("policy") or "{}"))
    except ValueError:
        yield _found("plan/unreadable", path, address, f"{address} has a policy that is no JSON")
        return
    statements = mapping(document).get("Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        if is_public(mapping(statement)):
            yield _found("terraform/s3-public-policy", path, address, f"{address} allows everybody")
            return


def _cluster(path: str, address: str, after: Mapping[str, Any]) -> Iterator[Finding]:
    for config in map(mapping, sequence(after.get("vpc_config"))):
        cidrs = sequence(config.get("public_access_cidrs")) or ["0.0.0.0/0"]
        if config.get("endpoint_public_access") is not False and any(map(is_everybody, cidrs)):
            message = f"{address} has an API endpoint that the whole internet can reach"
            yield _found("terraform/eks-public-endpoint", path, address, message)
