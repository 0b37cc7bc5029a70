"""Who can reach what: open ingress and public cluster endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from policies.finding import Finding, HclEdit
from policies.hcl import Block, Unknown
from policies.terraform_module import Placed, TerraformModule, listed

SENSITIVE = frozenset({
    20, 21, 22, 23, 111, 135, 137, 138, 139, 389, 445, 512, 513, 514, 636, 873, 1433, 1434, 1521, 2049, 2181, 2375, 2376, 2379, 2380,
    3306, 3389, 4333, 5432, 5500, 5601, 5672, 5900, 5984, 5985, 5986, 6379, 6443, 7000, 7001, 7077, 8020, 8086, 8500, 9042, 9092, 9160,
    9200, 9300, 10250, 10255, 11211, 15672, 27017, 27018, 50070,
})  # fmt: skip
_WEB = frozenset({80, 443})
_GROUP = ("cidr_blocks", "ipv6_cidr_blocks")
_RULE = ("cidr_ipv4", "cidr_ipv6")
_WIDE = {4: 7, 6: 3}
_NEEDED_LOGS = ("api", "audit", "authenticator")


def network(module: TerraformModule) -> Iterator[Finding]:
    """Every finding on ingress and endpoints of one module."""
    for placed in module.of("resource", "aws_security_group", "aws_default_security_group"):
        for block in placed.block.nested("ingress"):
            yield from _block(module, placed, block, _GROUP, fix=len(placed.block.nested("ingress")) == 1)
        for entry in listed(module.value(placed.block, "ingress")):
            if isinstance(entry, dict):
                yield from _judge(placed, placed.block, entry, _GROUP, ())
    for placed in module.of("resource", "aws_security_group_rule"):
        if module.value(placed.block, "type") == "ingress":
            yield from _block(module, placed, placed.block, _GROUP, fix=True)
    for placed in module.of("resource", "aws_vpc_security_group_ingress_rule"):
        yield from _block(module, placed, placed.block, _RULE, fix=True)
    for placed in module.of("resource", "aws_eks_cluster"):
        yield from _cluster(module, placed)


def _block(
    module: TerraformModule, placed: Placed, block: Block, keys: tuple[str, ...], *, fix: bool
) -> Iterator[Finding]:
    values = {name: module.resolve(attribute.value) for name, attribute in block.attributes.items()}
    edits = _narrow(module, placed, block, keys) if fix else ()
    yield from _judge(placed, block, values, keys, edits)


def _narrow(
    module: TerraformModule, placed: Placed, block: Block, keys: tuple[str, ...]
) -> tuple[HclEdit, ...]:
    """The edit that admits only the module's own network, when there is exactly one."""
    networks = list(module.of("resource", "aws_vpc"))
    if len(networks) != 1:
        return ()
    nested = () if block is placed.block else (block.type,)
    four, six = keys
    own = f"{networks[0].name}.cidr_block"
    edits = [placed.set(four, f"[{own}]" if four.endswith("s") else own, *nested)]
    if six in block.attributes:
        edits.append(placed.set(six, None, *nested))
    return tuple(edits)


def _judge(
    placed: Placed, block: Block, values: Mapping[str, Any], keys: tuple[str, ...], fix: tuple[HclEdit, ...]
) -> Iterator[Finding]:
    cidrs = [cidr for key in keys for cidr in listed(values.get(key))]
    wide = [str(cidr) for cidr in cidrs if is_everybody(cidr)]
    if not wide:
        return
    sensitive, ports = exposed(values)
    if ports == "nothing":
        return
    name = "terraform/open-ingress-sensitive" if sensitive else "terraform/open-ingress"
    attribute = next((key for key in keys if key in block.attributes), "")
    message = f"lets {', '.join(wide)} reach {ports}"
    yield placed.finding(name, message, at=block, attribute=attribute, fix=fix)


def is_everybody(cidr: object) -> bool:
    """Whether a CIDR block is the internet, or a good part of it."""
    try:
        network = ipaddress.ip_network(str(cidr), strict=False)
    except ValueError:
        return False
    return network.prefixlen <= _WIDE[network.version]


def exposed(values: Mapping[str, Any]) -> tuple[bool, str]:
    """(whether a sensitive port is among them, the ports in words); web ports alone are `nothing`."""
    protocol = str(values.get("protocol", values.get("ip_protocol", "tcp"))).lower()
    if protocol in {"-1", "all"}:
        return True, "every port"
    if protocol in {"icmp", "icmpv6", "1", "58"}:
        return False, "nothing"
    first, last = _port(values.get("from_port")), _port(values.get("to_port"))
    if first is None or last is None:
        return False, "ports that only Terraform knows"
    hit = sorted(port for port in SENSITIVE if first <= port <= last)
    if hit:
        return (
            True,
            f"ports {first}-{last}, among them {', '.join(map(str, hit[:4]))}"
            if first != last
            else f"port {first}",
        )
    if first == last and first in _WEB:
        return False, "nothing"
    return False, f"ports {first}-{last}" if first != last else f"port {first}"


def _port(value: object) -> int | None:
    if isinstance(value, bool | Unknown):
        return None
    if isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    return value if isinstance(value, int) else None


def _cluster(module: TerraformModule, placed: Placed) -> Iterator[Finding]:
    for block in placed.block.nested("vpc_config"):
        public = module.value(block, "endpoint_public_access", default=True)
        cidrs = listed(module.value(block, "public_access_cidrs")) or ["0.0.0.0/0"]
        if public not in (False, "false") and any(is_everybody(cidr) for cidr in cidrs):
            fix = (
                placed.set("endpoint_public_access", "false", "vpc_config"),
                placed.set("endpoint_private_access", "true", "vpc_config"),
            )
            message = "has an API endpoint that the whole internet can reach"
            yield placed.finding(
                "terraform/eks-public-endpoint",
                message,
                at=block,
                attribute="endpoint_public_access",
                fix=fix,
            )
    yield from _secrets_encryption(module, placed)
    logs = module.value(placed.block, "enabled_cluster_log_types", default=())
    missing = [] if isinstance(logs, Unknown) else [kind for kind in _NEEDED_LOGS if kind not in listed(logs)]
    if missing:
        kinds = ", ".join(f'"{kind}"' for kind in dict.fromkeys((*_NEEDED_LOGS, *map(str, listed(logs)))))
        logging = (placed.set("enabled_cluster_log_types", f"[{kinds}]"),)
        message = f"does not log {', '.join(missing)}"
        yield placed.finding(
            "terraform/eks-logging", message, attribute="enabled_cluster_log_types", fix=logging
        )


def _secrets_encryption(module: TerraformModule, placed: Placed) -> Iterator[Finding]:
    configured = placed.block.nested("encryption_config")
    if any("secrets" in listed(module.value(block, "resources", ("secrets",))) for block in configured):
        return
    keys = list(module.of("resource", "aws_kms_key"))
    name = module.free_name("aws_kms_key", f"{placed.block.labels[1]}_secrets")
    key = keys[0].name if len(keys) == 1 else f"aws_kms_key.{name}"
    edits = [] if len(keys) == 1 else [placed.beside(_KEY.format(name=name))]
    edits.append(
        placed.append(
            f'encryption_config {{\n  resources = ["secrets"]\n\n  provider {{\n    key_arn = {key}.arn\n  }}\n}}'
        )
    )
    fix = () if configured else tuple(edits)
    yield placed.finding(
        "terraform/eks-secrets-encryption", "does not encrypt Kubernetes Secrets with a KMS key", fix=fix
    )


_KEY = """resource "aws_kms_key" "{name}" {{
  description             = "Envelope key for Kubernetes Secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}}"""
