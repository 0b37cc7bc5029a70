"""Rights in AWS: wildcards, administrators, trust in everybody; and secrets written into code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from policies.finding import Finding
from policies.hcl import Block, Unknown
from policies.kubernetes_rules import SECRET_VALUE
from policies.terraform_module import Placed, TerraformModule, listed
from policies.terraform_storage import is_public

_POLICIES = (
    "aws_iam_policy",
    "aws_iam_role_policy",
    "aws_iam_user_policy",
    "aws_iam_group_policy",
    "aws_ssoadmin_permission_set_inline_policy",
)
_ATTACHMENTS = (
    "aws_iam_role_policy_attachment", "aws_iam_user_policy_attachment", "aws_iam_group_policy_attachment",
    "aws_iam_policy_attachment", "aws_ssoadmin_managed_policy_attachment",
)  # fmt: skip
_ADMIN = re.compile(
    r":policy/(AdministratorAccess|IAMFullAccess|PowerUserAccess|AWSCodeStarFullAccess)(-\w+)?$"
)
_SECRET_NAME = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|secret_key|access_key|private_key|auth_token|api_key|token|client_secret|master_password)$"
)
_GITHUB = "token.actions.githubusercontent.com"
_OPEN_SUBJECT = re.compile(r"^(\*|repo:\*.*|repo:[^/]*\*.*|repo:\w[\w-]*/\*.*)$")


def rights(module: TerraformModule) -> Iterator[Finding]:
    """Every finding on IAM of one module."""
    for placed in module.of("resource", *_POLICIES):
        attribute = "inline_policy" if "inline_policy" in placed.block.attributes else "policy"
        yield from _wildcards(placed, module.policy(placed.block.value(attribute)) or [], attribute)
    for placed in module.of("resource", "aws_iam_role"):
        for inline in placed.block.nested("inline_policy"):
            yield from _wildcards(placed, module.policy(inline.value("policy")) or [], "inline_policy")
        for arn in listed(module.value(placed.block, "managed_policy_arns")):
            yield from _admin(placed, arn, "managed_policy_arns")
        yield from _trust(placed, module.policy(placed.block.value("assume_role_policy")) or [])
    for placed in module.of("resource", *_ATTACHMENTS):
        attribute = "managed_policy_arn" if "managed_policy_arn" in placed.block.attributes else "policy_arn"
        yield from _admin(placed, module.value(placed.block, attribute), attribute)


def _wildcards(placed: Placed, statements: list[dict[str, Any]], attribute: str) -> Iterator[Finding]:
    for statement in statements:
        if statement.get("Effect") != "Allow" or "*" not in listed(statement.get("Resource")):
            continue
        actions = [
            str(action) for action in listed(statement.get("Action")) if not isinstance(action, Unknown)
        ]
        if {"*", "*:*"} & set(actions) or listed(statement.get("NotAction")):
            yield placed.finding(
                "terraform/iam-wildcard", "allows every action on every resource", attribute=attribute
            )
        elif wide := sorted(action for action in actions if action.endswith(":*")):
            message = f"allows {', '.join(wide)} on every resource"
            yield placed.finding("terraform/iam-service-wildcard", message, attribute=attribute)


def _admin(placed: Placed, arn: object, attribute: str) -> Iterator[Finding]:
    text = arn.text.strip('"') if isinstance(arn, Unknown) else str(arn)
    if found := _ADMIN.search(text):
        yield placed.finding("terraform/iam-admin-policy", f"attaches {found.group(1)}", attribute=attribute)


def _trust(placed: Placed, statements: list[dict[str, Any]]) -> Iterator[Finding]:
    for statement in statements:
        if is_public(statement):
            yield placed.finding(
                "terraform/iam-open-trust", "can be assumed by everybody", attribute="assume_role_policy"
            )
        elif _trusts_github(statement) and not _names_repository(statement):
            message = "can be assumed by every GitHub repository, or by many"
            yield placed.finding("terraform/iam-open-trust", message, attribute="assume_role_policy")


def _trusts_github(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    federated = listed(principal.get("Federated")) if isinstance(principal, dict) else []
    texts = [item.text if isinstance(item, Unknown) else str(item) for item in federated]
    return statement.get("Effect") == "Allow" and any(
        _GITHUB in text or "github" in text.lower() for text in texts
    )


def _names_repository(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition")
    if not isinstance(condition, dict):
        return False
    for operator, tests in condition.items():
        if not isinstance(tests, dict) or not str(operator).startswith(
            ("StringEquals", "StringLike", "ForAnyValue:String")
        ):
            continue
        for key, values in tests.items():
            if str(key).endswith(":sub"):
                subjects = listed(values)
                return bool(subjects) and not any(
                    isinstance(s, str) and _OPEN_SUBJECT.match(s) for s in subjects
                )
    return False


def secrets(module: TerraformModule) -> Iterator[Finding]:
    """Secrets that are written as literals."""
    for placed in module.blocks:
        block = placed.block
        if block.type == "variable":
            default = module.value(block, "default")
            named = bool(block.labels) and _SECRET_NAME.search(block.labels[0])
            if isinstance(default, str) and default and (named or SECRET_VALUE.search(default)):
                yield placed.finding(
                    "terraform/secret-in-code", "has a secret as its default", attribute="default"
                )
            continue
        for inner, name, value in _literals(block):
            if (
                _SECRET_NAME.search(name) and value and not value.startswith(("arn:", "/", "ssm:"))
            ) or SECRET_VALUE.search(value):
                yield placed.finding(
                    "terraform/secret-in-code", f"has the secret {name} in the code", at=inner, attribute=name
                )


def _literals(block: Block) -> Iterator[tuple[Block, str, str]]:
    for name, attribute in block.attributes.items():
        for key, value in _strings(name, attribute.value):
            yield block, key, value
    for child in block.blocks:
        yield from _literals(child)


def _strings(name: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any HCL value
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _strings(str(key).lower(), child)
    elif isinstance(value, tuple):
        for child in value:
            yield from _strings("", child)
