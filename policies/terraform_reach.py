"""What Terraform would read, trust or speak to beyond its own folder and its listed providers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.finding import Finding
from policies.hcl import Attribute, Block
from policies.terraform_module import Placed, TerraformModule

STATE_STORES = frozenset({"s3", "gcs", "azurerm", "local"})
"""Where a state may be kept (local has a rule of its own); any other store is a server of somebody's."""
_READS = re.compile(
    r"\b(file|filebase64|filemd5|file(?:base64)?sha\d+|fileexists|fileset|templatefile)\s*\(\s*([^,)]*)"
)
_ANYWHERE = re.compile(r"\b(pathexpand|abspath)\s*\(")
_INSIDE = re.compile(
    r'"(\$\{path\.(module|root)\}/|\./)?(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]*"|path\.(module|root)'
)
_REDIRECTS = frozenset({"http_proxy", "https_proxy", "custom_ca_bundle", "insecure"})
_ENDPOINTS = frozenset({"endpoint", "endpoints", "address", "lock_address", "unlock_address"})


def reach(module: TerraformModule) -> Iterator[Finding]:
    """Findings on one folder."""
    for placed in module.blocks:
        yield from _files(placed)
    for placed in module.of("terraform"):
        for block in (*placed.block.nested("backend"), *placed.block.nested("cloud")):
            kind = (*block.labels, block.type)[0]
            if kind not in STATE_STORES or _redirected(block):
                yield placed.finding(
                    "terraform/backend-foreign", f"keeps its state at {kind} of its own choice", at=block
                )
    for placed in module.of("data", "terraform_remote_state"):
        kind, config = module.value(placed.block, "backend"), placed.block.attributes.get("config")
        own = isinstance(kind, str) and kind in STATE_STORES - {"local"}
        if not own or (config is not None and any(re.search(rf"\b{n}\b", config.text) for n in _ENDPOINTS)):
            yield placed.finding("terraform/remote-state", f"reads a state from {kind}", attribute="backend")
    for placed in module.of("provider"):
        odd = [
            block for block in placed.block.blocks if block.type in _ENDPOINTS or "endpoints" in block.labels
        ]
        names = sorted((_REDIRECTS | _ENDPOINTS) & set(placed.block.attributes))
        if odd or names:
            message = f"sends its signed requests elsewhere: {', '.join(names) or 'endpoints'}"
            yield placed.finding("terraform/provider-endpoint", message)


def _redirected(block: Block) -> bool:
    return bool(_ENDPOINTS & {*block.attributes, *(child.type for child in block.blocks)})


def _files(placed: Placed) -> Iterator[Finding]:
    for block, attribute in _attributes(placed.block):
        reads = _READS.findall(attribute.text)
        outside = [name for name, path in reads if not _INSIDE.fullmatch(path.strip())]
        outside += _ANYWHERE.findall(attribute.text)
        if outside:
            message = f"{attribute.name} calls {outside[0]}() on a path that is not plainly in this folder"
            yield placed.finding("terraform/reads-outside", message, at=block, attribute=attribute.name)


def _attributes(block: Block) -> Iterator[tuple[Block, Attribute]]:
    for attribute in block.attributes.values():
        yield block, attribute
    for child in block.blocks:
        yield from _attributes(child)
