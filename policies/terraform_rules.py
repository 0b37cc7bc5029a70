"""Terraform, judged folder by folder: what checkov does not know or gets wrong."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import islice

from policies.finding import Finding
from policies.hcl import HclFile, read_hcl
from policies.reading import HCL_ENDINGS
from policies.rules import rule
from policies.terraform_iam import rights, secrets
from policies.terraform_module import TerraformModule
from policies.terraform_network import network
from policies.terraform_reach import reach
from policies.terraform_storage import storage
from policies.terraform_supply import execution, state, supply

_TFVARS = "terraform.tfvars"
CALLS_MOST = 200
"""How many calls of modules are followed from one folder; with more of them the folder is not judged, and so refused."""


def _precedence(path: str) -> tuple[bool, str]:
    """As Terraform reads values: terraform.tfvars first, then *.auto.tfvars by name; the later value counts."""
    return posixpath.basename(path) != _TFVARS, path


@dataclass(frozen=True)
class TerraformTree:
    """Every Terraform file of a tree, parsed, as modules by folder."""

    modules: Mapping[str, TerraformModule]
    files: Mapping[str, HclFile] = field(default_factory=dict)

    @classmethod
    def read(cls, tree: Mapping[str, bytes]) -> TerraformTree:
        """Parse each HCL file of the tree once."""
        files = {
            path: read_hcl(path, data) for path, data in sorted(tree.items()) if path.endswith(HCL_ENDINGS)
        }
        folders: dict[str, list[HclFile]] = defaultdict(list)
        tfvars: dict[str, dict[str, object]] = defaultdict(dict)
        for path, file in sorted(files.items(), key=lambda found: _precedence(found[0])):
            folder, name = posixpath.split(path)
            if path.endswith(".tf"):
                folders[folder].append(file)
            elif name == _TFVARS or name.endswith(".auto.tfvars"):
                tfvars[folder] |= {key: attribute.value for key, attribute in file.attributes.items()}
        modules = {
            folder: TerraformModule(folder, tuple(found), tfvars[folder]) for folder, found in folders.items()
        }
        return cls(modules, files)

    def called_from(self, module: TerraformModule) -> Iterator[TerraformModule]:
        """The modules of this tree that one calls, and what those call, each with the values that it is given there.

        A value that a caller gives counts, not the default. Endless when modules call each other: take CALLS_MOST.
        """
        for placed in module.of("module"):
            source = module.value(placed.block, "source")
            folder = (
                posixpath.normpath(posixpath.join(module.folder, source)) if isinstance(source, str) else ""
            )
            if isinstance(source, str) and source.startswith(".") and folder in self.modules:
                given = {
                    name: module.resolve(attribute.value)
                    for name, attribute in placed.block.attributes.items()
                }
                called = replace(self.modules[folder], tfvars=given)
                yield called
                yield from self.called_from(called)


def judge_terraform(
    tree: TerraformTree,
    *,
    base: TerraformTree | None,
    providers: AbstractSet[str],
    modules: AbstractSet[str],
) -> Iterator[Finding]:
    """Every finding on the Terraform of a tree; `base` is the tree before the change, where it is known."""
    for path, file in tree.files.items():
        yield from file.findings
        name = posixpath.basename(path)
        if name == "override.tf" or name.endswith("_override.tf"):
            yield rule("terraform/override").finding(
                path, path, f"{path} overrides blocks of other files", line=1
            )
    folders = set(tree.modules)
    for folder, module in tree.modules.items():
        yield from _twice(module)
        yield from supply(module, folders, providers=providers, modules=modules)
        yield from execution(module)
        yield from reach(module)
        yield from state(module, base.modules.get(folder) if base else None)
        called = tuple(islice(tree.called_from(module), CALLS_MOST + 1))
        if len(called) > CALLS_MOST:
            path = module.files[0].path
            message = (
                f"{folder or 'the top folder'} calls modules more than {CALLS_MOST} times, or in a circle"
            )
            yield rule("reading/scanner-gap").finding(path, path, message, line=1)
        for values in (module, *called):
            yield from storage(values)
            yield from network(values)
            yield from rights(values)
            yield from secrets(values)


def _twice(module: TerraformModule) -> Iterator[Finding]:
    seen: set[str] = set()
    for placed in module.blocks:
        if placed.block.type not in {"resource", "data", "module", "variable", "output"}:
            continue
        if placed.name in seen:
            yield placed.finding("terraform/duplicate-block", "is defined twice")
        seen.add(placed.name)
