"""The Terraform files of one folder as one module, with the values that can be known without running Terraform."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from policies.finding import Finding, HclEdit, Remediation
from policies.hcl import Block, HclFile, Unknown
from policies.rules import rule


@dataclass(frozen=True)
class Placed:
    """A block and the file that it stands in."""

    path: str
    block: Block

    @property
    def name(self) -> str:
        """Terraform's address of the block."""
        return self.block.name

    def finding(
        self,
        name: str,
        message: str,
        *,
        at: Block | None = None,
        attribute: str = "",
        fix: tuple[Remediation, ...] = (),
    ) -> Finding:
        """A finding on this block, at the line of an attribute or nested block."""
        where = at or self.block
        line = where.attributes[attribute].line if attribute in where.attributes else where.line
        return rule(name).finding(self.path, self.name, f"{self.name} {message}", line=line, remediations=fix)

    def set(self, attribute: str, expression: str | None, *nested: str) -> HclEdit:
        """The edit that gives an attribute (of a nested block) this expression, or removes it."""
        return HclEdit(
            path=self.path, block=(*self.block.address, *nested), attribute=attribute, expression=expression
        )

    def append(self, text: str) -> HclEdit:
        """The edit that appends a nested block."""
        return HclEdit(path=self.path, block=self.block.address, append=text)

    def beside(self, text: str) -> HclEdit:
        """The edit that appends a top-level block to the same file."""
        return HclEdit(path=self.path, append=text)


@dataclass(frozen=True)
class TerraformModule:
    """One folder's .tf files. `tfvars` are the values of its auto-loaded .tfvars files."""

    folder: str
    files: tuple[HclFile, ...]
    tfvars: Mapping[str, Any]

    @cached_property
    def blocks(self) -> tuple[Placed, ...]:
        """Every top-level block."""
        return tuple(Placed(file.path, block) for file in self.files for block in file.blocks)

    def of(self, kind: str, *types: str) -> Iterator[Placed]:
        """Top-level blocks of a kind and, when types are given, of one of these types."""
        for placed in self.blocks:
            block = placed.block
            if block.type == kind and (not types or (block.labels and block.labels[0] in types)):
                yield placed

    def find(self, name: str) -> Placed | None:
        """The block with Terraform's address `name`."""
        return next((placed for placed in self.blocks if placed.name == name), None)

    def free_name(self, kind: str, name: str) -> str:
        """`name`, or `name_2`, `name_3` ... when a resource of this type already has it."""
        candidates = (name, *(f"{name}_{number}" for number in range(2, 100)))
        return next(free for free in candidates if self.find(f"{kind}.{free}") is None)

    @cached_property
    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for placed in self.of("variable"):
            default = placed.block.attributes.get("default")
            if placed.block.labels and default is not None:
                known[f"var.{placed.block.labels[0]}"] = default.value
        known |= {f"var.{name}": value for name, value in self.tfvars.items()}
        for placed in self.of("locals"):
            known |= {f"local.{name}": attribute.value for name, attribute in placed.block.attributes.items()}
        return known

    def resolve(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any HCL value
        """A value with variables' defaults, tfvars and locals put in; Unknown where that is not enough."""
        if depth > 20:
            return value
        if isinstance(value, Unknown):
            text = value.text.strip()
            if text.startswith('"${') and text.endswith('}"') and text.count("${") == 1:
                text = text[3:-2].strip()
            return self.resolve(self._known[text], depth + 1) if text in self._known else value
        if isinstance(value, tuple):
            return tuple(self.resolve(item, depth + 1) for item in value)
        if isinstance(value, dict):
            return {key: self.resolve(item, depth + 1) for key, item in value.items()}
        return value

    def value(self, block: Block, name: str, default: Any = None) -> Any:  # noqa: ANN401 - any HCL value
        """An attribute's value, resolved."""
        return self.resolve(block.value(name, default))

    def refers(self, value: Any, target: Placed, identity: str) -> bool:  # noqa: ANN401 - any HCL value
        """Whether `value` names `target`: by reference, or by the same literal (or expression) as its `identity` argument."""
        if isinstance(value, Unknown) and target.name in value.references:
            return True
        own = target.block.attributes.get(identity)
        if own is None:
            return False
        resolved = self.resolve(value)
        return bool(resolved == self.resolve(own.value)) and value is not None

    def policy(self, value: Any) -> list[dict[str, Any]] | None:  # noqa: ANN401 - any HCL value
        """The statements of a policy, in the keys of the JSON policy language; None when only Terraform can tell.

        The policy may be jsonencode, JSON text or a reference to an aws_iam_policy_document.
        """
        value = self.resolve(value)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return None
        if isinstance(value, dict):
            return [s for s in listed(value.get("Statement")) if isinstance(s, dict)]
        if isinstance(value, Unknown):
            for reference in value.references:
                document = (
                    self.find(reference) if reference.startswith("data.aws_iam_policy_document.") else None
                )
                if document:
                    return self.statements(document.block)
        return None

    def statements(self, document: Block) -> list[dict[str, Any]]:
        """The statements of a data.aws_iam_policy_document in the keys of the JSON policy language."""
        found = []
        for statement in document.nested("statement"):
            principals: dict[str, Any] = {}
            for principal in statement.nested("principals"):
                kind = str(self.value(principal, "type"))
                principals[kind] = (
                    *listed(principals.get(kind)),
                    *listed(self.value(principal, "identifiers")),
                )
            condition: dict[str, Any] = {}
            for one in statement.nested("condition"):
                test = condition.setdefault(str(self.value(one, "test")), {})
                test[str(self.value(one, "variable"))] = self.value(one, "values")
            found.append({
                "Effect": self.value(statement, "effect", "Allow"),
                "Action": self.value(statement, "actions", ()),
                "NotAction": self.value(statement, "not_actions", ()),
                "Resource": self.value(statement, "resources", ()),
                "Principal": principals or None,
                "Condition": condition,
            })  # fmt: skip
        return found


def listed(value: Any) -> list[Any]:  # noqa: ANN401 - any HCL value
    """A value that may be one thing or a list of them, as a list; nothing for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, tuple | list) else [value]
