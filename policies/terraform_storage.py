"""Storage that is public or not encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policies.finding import Finding
from policies.hcl import Block, Unknown
from policies.terraform_module import Placed, TerraformModule, listed

SWITCHES = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
_PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read", "website"})
_PUBLIC_GROUPS = ("/groups/global/AllUsers", "/groups/global/AuthenticatedUsers")
_NARROWING = frozenset(
    str.split(
        "aws:sourcevpc aws:sourcevpce aws:principalorgid aws:principalorgpaths aws:principalaccount "
        "aws:principalarn aws:sourceaccount aws:sourcearn aws:sourceorgid aws:sourceowner aws:userid "
        "s3:dataaccesspointaccount"
    )
)


def storage(module: TerraformModule) -> Iterator[Finding]:
    """Every finding on storage of one module."""
    for bucket in module.of("resource", "aws_s3_bucket"):
        yield from _access_block(module, bucket)
        yield from _encryption(module, bucket)
    for placed in module.of(
        "resource", "aws_s3_bucket", "aws_s3_bucket_acl", "aws_s3_object", "aws_s3_bucket_object"
    ):
        yield from _acl(module, placed)
    for placed in module.of("resource", "aws_s3_bucket", "aws_s3_bucket_policy", "aws_s3_access_point"):
        yield from _bucket_policy(module, placed)
    for placed in module.of("resource", "aws_s3_account_public_access_block"):
        yield from _switched_off(module, placed)
    for placed in module.of("resource", "aws_s3_bucket_website_configuration", "aws_s3_bucket"):
        website = placed.block.type == "resource" and placed.block.labels[0] != "aws_s3_bucket"
        if website or placed.block.nested("website"):
            yield placed.finding("terraform/s3-website", "serves a bucket as a website")
    for placed in module.of("module"):
        yield from _module_inputs(module, placed)
    yield from _volumes(module)
    yield from _databases(module)


def _access_block(module: TerraformModule, bucket: Placed) -> Iterator[Finding]:
    blocks = [
        placed
        for placed in module.of("resource", "aws_s3_bucket_public_access_block")
        if module.refers(placed.block.value("bucket"), bucket, "bucket")
    ]
    if blocks:
        for placed in blocks:
            yield from _switched_off(module, placed)
        return
    name = module.free_name("aws_s3_bucket_public_access_block", bucket.block.labels[1])
    lines = "\n".join(f"  {switch.ljust(23)} = true" for switch in SWITCHES)
    text = f'resource "aws_s3_bucket_public_access_block" "{name}" {{\n  bucket                  = {bucket.name}.id\n{lines}\n}}'
    if _repeated(bucket):
        yield bucket.finding("terraform/s3-public-access-block", "has no public access block")
        return
    yield bucket.finding(
        "terraform/s3-public-access-block", "has no public access block", fix=(bucket.beside(text),)
    )


def _repeated(placed: Placed) -> bool:
    return "count" in placed.block.attributes or "for_each" in placed.block.attributes


def _switched_off(module: TerraformModule, placed: Placed) -> Iterator[Finding]:
    values = {switch: module.value(placed.block, switch, default=False) for switch in SWITCHES}
    off = [switch for switch, value in values.items() if value in (False, "false", None)]
    unknown = [switch for switch, value in values.items() if isinstance(value, Unknown)]
    if off or unknown:
        what = f"leaves {', '.join(off or unknown)} {'off' if off else 'to a value that cannot be told'}"
        fix = tuple(placed.set(switch, "true") for switch in (*off, *unknown))
        yield placed.finding("terraform/s3-public-access-block", what, attribute=(off or unknown)[0], fix=fix)


def _acl(module: TerraformModule, placed: Placed) -> Iterator[Finding]:
    acl = module.value(placed.block, "acl")
    if acl in _PUBLIC_ACLS:
        fix = (placed.set("acl", '"private"'),)
        yield placed.finding("terraform/s3-public-acl", f"has the ACL {acl}", attribute="acl", fix=fix)
    grants = (
        *placed.block.nested("grant"),
        *placed.block.nested("access_control_policy", "grant", "grantee"),
    )
    for grant in grants:
        uri = module.value(grant, "uri")
        if isinstance(uri, str) and uri.endswith(_PUBLIC_GROUPS):
            yield placed.finding(
                "terraform/s3-public-acl",
                f"grants rights to {uri.rpartition('/')[2]}",
                at=grant,
                attribute="uri",
            )


def _bucket_policy(module: TerraformModule, placed: Placed) -> Iterator[Finding]:
    if "policy" not in placed.block.attributes:
        return
    for statement in module.policy(placed.block.value("policy")) or ():
        if is_public(statement):
            yield placed.finding("terraform/s3-public-policy", "allows everybody", attribute="policy")
            return


def is_public(statement: dict[str, Any]) -> bool:
    """Whether a statement allows everybody, without a condition that narrows who."""
    if statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal")
    named = (
        [p for value in principal.values() for p in listed(value)]
        if isinstance(principal, dict)
        else listed(principal)
    )
    everybody = "*" in named or statement.get("NotPrincipal") is not None
    return everybody and not _narrowed(statement.get("Condition"))


def _narrowed(condition: Any) -> bool:  # noqa: ANN401 - any HCL value
    if not isinstance(condition, dict):
        return isinstance(condition, Unknown)
    for operator, tests in condition.items():
        if not isinstance(tests, dict) or "Not" in str(operator) or str(operator).endswith("IfExists"):
            continue
        for key, values in tests.items():
            plain = [str(value) for value in listed(values) if not isinstance(value, Unknown)]
            if str(key).lower() in _NARROWING and all(value.strip("*") for value in plain):
                return True
            if (
                str(key).lower() == "aws:sourceip"
                and plain
                and not any(value.endswith("/0") for value in plain)
            ):
                return True
    return False


def _encryption(module: TerraformModule, bucket: Placed) -> Iterator[Finding]:
    if bucket.block.nested("server_side_encryption_configuration"):
        return
    for placed in module.of("resource", "aws_s3_bucket_server_side_encryption_configuration"):
        if module.refers(placed.block.value("bucket"), bucket, "bucket"):
            return
    name = module.free_name("aws_s3_bucket_server_side_encryption_configuration", bucket.block.labels[1])
    text = (
        f'resource "aws_s3_bucket_server_side_encryption_configuration" "{name}" {{\n  bucket = {bucket.name}.id\n\n  rule {{\n'
        f'    apply_server_side_encryption_by_default {{\n      sse_algorithm = "aws:kms"\n    }}\n    bucket_key_enabled = true\n  }}\n}}'
    )
    fix = () if _repeated(bucket) else (bucket.beside(text),)
    yield bucket.finding("terraform/s3-encryption", "has no encryption configuration", fix=fix)


def _module_inputs(module: TerraformModule, placed: Placed) -> Iterator[Finding]:
    source = str(module.value(placed.block, "source", ""))
    if "s3" not in source.lower() and "bucket" not in source.lower():
        return
    block = placed.block
    if module.value(block, "acl") in _PUBLIC_ACLS:
        fix = (placed.set("acl", '"private"'),)
        yield placed.finding(
            "terraform/module-public-storage", "asks its module for a public ACL", attribute="acl", fix=fix
        )
    for switch in SWITCHES:
        if switch in block.attributes and module.value(block, switch) in (False, "false"):
            fix = (placed.set(switch, "true"),)
            yield placed.finding(
                "terraform/module-public-storage", f"sets {switch} = false", attribute=switch, fix=fix
            )


def _volumes(module: TerraformModule) -> Iterator[Finding]:
    name = "terraform/ebs-encryption"
    for placed in module.of("resource", "aws_ebs_volume", "aws_ebs_encryption_by_default"):
        attribute = "encrypted" if placed.block.labels[0] == "aws_ebs_volume" else "enabled"
        default = attribute == "enabled"
        if not _true(module, placed.block, attribute, default=default):
            yield placed.finding(
                name, "is not encrypted", attribute=attribute, fix=(placed.set(attribute, "true"),)
            )
    for placed in module.of("resource", "aws_instance"):
        for disk in ("root_block_device", "ebs_block_device"):
            disks = placed.block.nested(disk)
            fix = (placed.set("encrypted", "true", disk),) if len(disks) == 1 else ()
            for block in disks:
                if not _true(module, block, "encrypted"):
                    yield placed.finding(
                        name, f"has a {disk} that is not encrypted", at=block, attribute="encrypted", fix=fix
                    )
    for placed in module.of("resource", "aws_launch_template"):
        for block in placed.block.nested("block_device_mappings", "ebs"):
            if not _true(module, block, "encrypted"):
                yield placed.finding(
                    name, "has a volume that is not encrypted", at=block, attribute="encrypted"
                )


def _databases(module: TerraformModule) -> Iterator[Finding]:
    for placed in module.of(
        "resource", "aws_db_instance", "aws_rds_cluster", "aws_docdb_cluster", "aws_neptune_cluster"
    ):
        replica = (
            "replicate_source_db" in placed.block.attributes
            or "snapshot_identifier" in placed.block.attributes
        )
        member = placed.block.labels[0] == "aws_db_instance" and replica
        if not member and not _true(module, placed.block, "storage_encrypted"):
            fix = (placed.set("storage_encrypted", "true"),)
            yield placed.finding(
                "terraform/database-encryption", "is not encrypted", attribute="storage_encrypted", fix=fix
            )
    for placed in module.of(
        "resource", "aws_db_instance", "aws_rds_cluster_instance", "aws_redshift_cluster"
    ):
        if _true(module, placed.block, "publicly_accessible", unknown=False):
            fix = (placed.set("publicly_accessible", "false"),)
            yield placed.finding(
                "terraform/database-public",
                "is publicly accessible",
                attribute="publicly_accessible",
                fix=fix,
            )


def _true(
    module: TerraformModule, block: Block, name: str, *, default: bool = False, unknown: bool = True
) -> bool:
    value = module.value(block, name, default=default)
    return unknown if isinstance(value, Unknown) else value in (True, "true")
