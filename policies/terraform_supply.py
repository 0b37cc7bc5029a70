"""Where Terraform's programs and modules come from, what runs while it plans, and what happens to its state."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from policies.finding import Finding
from policies.hcl import Block
from policies.rules import rule
from policies.terraform_module import Placed, TerraformModule

_BUILT_IN = frozenset({"terraform.io/builtin/terraform"})
_EXACT = re.compile(r"=?\s*v?\d+\.\d+\.\d+(-[\w.]+)?")
_COMMIT = re.compile(r"[?&]ref=[0-9a-f]{40}(&|$)")
_REGISTRY_MODULE = re.compile(r"([\w.-]+\.[\w.-]+/)?[\w-]+/[\w-]+/[\w-]+(//.*)?")
_UNJUDGED = (
    "aws_cloudcontrolapi_resource",
    "aws_cloudformation_stack",
    "aws_cloudformation_stack_set",
    "kubectl_manifest",
)


def supply(
    module: TerraformModule,
    folders: AbstractSet[str],
    *,
    providers: AbstractSet[str],
    modules: AbstractSet[str],
) -> Iterator[Finding]:
    """Providers and modules of one folder; `folders` are the folders of the tree that hold Terraform."""
    declared: dict[str, str] = {}
    for placed in module.of("terraform"):
        for required in placed.block.nested("required_providers"):
            for name, attribute in required.attributes.items():
                value = attribute.value if isinstance(attribute.value, dict) else {"version": attribute.value}
                source = normal_source(str(value.get("source", f"hashicorp/{name}")))
                declared[name] = source
                if source not in providers and source not in _BUILT_IN:
                    message = (
                        f"requires provider {source}; allowed are {', '.join(sorted(providers)) or 'none'}"
                    )
                    yield placed.finding("terraform/provider-source", message, at=required, attribute=name)
                if not value.get("version"):
                    yield placed.finding(
                        "terraform/provider-unpinned",
                        f"names no version of {source}",
                        at=required,
                        attribute=name,
                    )
    yield from _implied(module, declared, providers)
    for placed in module.of("module"):
        yield from _source(module, placed, folders, modules)


def normal_source(source: str) -> str:
    """A provider's source without the public registry's host: hashicorp/aws."""
    parts = source.strip().lower().split("/")
    if len(parts) == 1:
        return f"hashicorp/{parts[0]}"
    return "/".join(parts[1:]) if parts[0] == "registry.terraform.io" else "/".join(parts)


def _implied(
    module: TerraformModule, declared: Mapping[str, str], providers: AbstractSet[str]
) -> Iterator[Finding]:
    """Providers that nobody declared but that a resource's type makes Terraform install."""
    seen: set[str] = set()
    for placed in module.blocks:
        if placed.block.type not in {"resource", "data", "ephemeral"} or not placed.block.labels:
            continue
        name = placed.block.labels[0].partition("_")[0]
        if name in declared or name in seen or name == "terraform":
            continue
        seen.add(name)
        if f"hashicorp/{name}" not in providers:
            message = f"needs provider hashicorp/{name}; allowed are {', '.join(sorted(providers)) or 'none'}"
            yield placed.finding("terraform/provider-source", message)


def _source(
    module: TerraformModule, placed: Placed, folders: AbstractSet[str], allowed: AbstractSet[str]
) -> Iterator[Finding]:
    source = module.value(placed.block, "source")
    if not isinstance(source, str):
        yield placed.finding(
            "terraform/module-source", "has a source that only Terraform can tell", attribute="source"
        )
    elif source.startswith(("./", "../")):
        folder = posixpath.normpath(posixpath.join(module.folder, source))
        if folder.removeprefix("./") not in folders:
            message = f"names {source}, which is not in the repository"
            yield placed.finding("terraform/module-source", message, attribute="source")
    else:
        if not any(source == entry or source.startswith(entry.rstrip("/") + "/") for entry in allowed):
            yield placed.finding(
                "terraform/module-source", f"takes its code from {source}", attribute="source"
            )
        registry = bool(_REGISTRY_MODULE.fullmatch(source)) and not source.startswith(("git", "http"))
        version = module.value(placed.block, "version")
        pinned = (
            isinstance(version, str) and _EXACT.fullmatch(version.strip())
            if registry
            else _COMMIT.search(source)
        )
        if not pinned:
            yield placed.finding("terraform/module-unpinned", f"does not pin {source}", attribute="source")


def execution(module: TerraformModule) -> Iterator[Finding]:
    """What runs programs, or moves data, while Terraform plans or applies."""
    for placed in module.of("resource"):
        for block in _provisioners(placed.block):
            yield placed.finding(
                "terraform/provisioner", f"has a {'-'.join(block.labels) or 'nameless'} provisioner", at=block
            )
    for placed in module.of("data", "external"):
        yield placed.finding("terraform/external-data", "runs a program", attribute="program")
    for placed in module.of("data", "http"):
        yield placed.finding("terraform/http-data", "makes an HTTP request", attribute="url")
    for placed in module.of("resource", "local_file", "local_sensitive_file"):
        yield placed.finding("terraform/local-file", "writes a file", attribute="filename")
    for placed in module.of("resource", *_UNJUDGED):
        yield placed.finding("terraform/unjudged-resource", "takes its content as text")


def _provisioners(block: Block) -> Iterator[Block]:
    for child in block.blocks:
        if child.type == "provisioner" or (child.type == "dynamic" and child.labels == ("provisioner",)):
            yield child


def state(module: TerraformModule, base: TerraformModule | None) -> Iterator[Finding]:
    """Blocks that touch the state; a backend that differs from the one in `base`, the same folder before the change."""
    for placed in module.of("removed"):
        yield placed.finding("terraform/removed", f"removes {_text(placed.block, 'from')} from the state")
    for placed in module.of("moved"):
        yield placed.finding(
            "terraform/moved", f"moves {_text(placed.block, 'from')} to {_text(placed.block, 'to')}"
        )
    for placed in module.of("import"):
        yield placed.finding("terraform/import", f"imports {_text(placed.block, 'to')}")
    mine = _backends(module)
    for placed, (kind, _) in mine:
        if kind == "local":
            yield placed.finding("terraform/local-backend", "keeps its state on the runner's disk")
    before = _backends(base) if base and base.blocks else mine
    if [shape for _, shape in mine] != [shape for _, shape in before]:
        path = next((placed.path for placed, _ in mine), module.files[0].path)
        message = f"{module.folder or 'the root folder'} has another backend than before the change"
        yield rule("terraform/backend").finding(path, module.folder or ".", message)


def _text(block: Block, name: str) -> str:
    attribute = block.attributes.get(name)
    return attribute.text if attribute else "something"


_Shape = tuple[str, tuple[tuple[str, str], ...]]


def _backends(module: TerraformModule) -> list[tuple[Placed, _Shape]]:
    """Each backend's kind (`s3`, `local`, `cloud`) and arguments as text."""
    found = []
    for placed in module.of("terraform"):
        for block in (*placed.block.nested("backend"), *placed.block.nested("cloud")):
            arguments = tuple(sorted((name, attribute.text) for name, attribute in block.attributes.items()))
            found.append((placed, ((*block.labels, block.type)[0], arguments)))
    return found
