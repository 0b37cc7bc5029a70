"""HCL as a small frozen tree of blocks with positions: what Terraform would read, or findings that say why not.

A value is a str, number, bool, None, tuple, dict, or `Unknown` where only Terraform can tell; never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from policies.documents import MAX_DEPTH, decode
from policies.finding import Finding
from policies.rules import rule

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


@dataclass(frozen=True)
class Unknown:
    """An expression that only Terraform can evaluate, as its text."""

    text: str

    @property
    def references(self) -> frozenset[str]:
        """What it refers to: `aws_s3_bucket.logs`, `var.name`, `module.x`, `data.aws_x.y`."""
        found = re.findall(r"(?<![\w.-])(?:data\.)?[a-zA-Z_][\w-]*\.[a-zA-Z_][\w-]*", self.text)
        return frozenset(found)


@dataclass(frozen=True)
class Attribute:
    """`name = expression`; start and end are byte offsets of the whole, `value_*` those of the expression."""

    name: str
    value: Any
    text: str
    line: int
    start: int
    end: int
    value_start: int
    value_end: int


@dataclass(frozen=True)
class Block:
    """One block; `close` is the byte offset of its closing brace."""

    type: str
    labels: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    blocks: tuple[Block, ...]
    line: int
    start: int
    end: int
    close: int

    @property
    def address(self) -> tuple[str, ...]:
        """Type and labels, as HclEdit names a block."""
        return (self.type, *self.labels)

    @property
    def name(self) -> str:
        """Terraform's own address: aws_s3_bucket.logs, data.aws_x.y, module.z, provider.aws."""
        if self.type == "resource":
            return ".".join(self.labels)
        return ".".join((self.type, *self.labels))

    def value(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - any HCL value
        """The value of an attribute; `default` when it is not written."""
        attribute = self.attributes.get(name)
        return default if attribute is None else attribute.value

    def nested(self, *types: str) -> tuple[Block, ...]:
        """Nested blocks along a path of types; the content of a `dynamic` block counts as the block it makes."""
        found: tuple[Block, ...] = (self,)
        for wanted in types:
            found = tuple(child for parent in found for child in parent.children(wanted))
        return found

    def children(self, wanted: str) -> Iterator[Block]:
        """Nested blocks of one type, also those that a `dynamic` block makes."""
        for child in self.blocks:
            if child.type == wanted:
                yield child
            elif child.type == "dynamic" and child.labels == (wanted,):
                yield from (content for content in child.blocks if content.type == "content")


@dataclass(frozen=True)
class HclFile:
    """A file's top-level blocks and attributes (a .tfvars file has only attributes)."""

    path: str
    blocks: tuple[Block, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@cache
def _parser() -> Parser:
    import tree_sitter_hcl  # noqa: PLC0415 - only where HCL is judged
    from tree_sitter import Language, Parser  # noqa: PLC0415

    return Parser(Language(tree_sitter_hcl.language()))


def read_hcl(path: str, data: bytes) -> HclFile:
    """Parse one file. Any doubt about what Terraform would read is a finding, and then there are no blocks."""
    text, findings = decode(path, data)
    if findings:
        return HclFile(path, findings=findings)
    if path.endswith(".tf.json"):
        return HclFile(
            path, findings=(rule("terraform/json").finding(path, path, f"{path} is Terraform in JSON"),)
        )
    source = text.encode()
    root = _parser().parse(source).root_node
    if root.has_error:
        line = _first_error(root)
        message = f"{path}:{line} is no HCL"
        return HclFile(path, findings=(rule("reading/syntax").finding(path, path, message, line=line),))
    reader = _Reader(path, source)
    body = next((child for child in root.children if child.type == "body"), None)
    attributes, blocks = reader.body(body, 0) if body else ({}, ())
    findings = (*reader.findings, *_mislabelled(path, blocks))
    return HclFile(path, findings=findings) if findings else HclFile(path, blocks, attributes)


_LABELS = {
    "resource": 2,
    "data": 2,
    "ephemeral": 2,
    "module": 1,
    "variable": 1,
    "output": 1,
    "provider": 1,
    "terraform": 0,
    "locals": 0,
}


def _mislabelled(path: str, blocks: tuple[Block, ...]) -> Iterator[Finding]:
    """Top-level blocks of a .tf file with another number of labels than Terraform wants."""
    for block in blocks if path.endswith(".tf") else ():
        if len(block.labels) != _LABELS.get(block.type, len(block.labels)):
            message = f"{path}:{block.line} {block.type} needs {_LABELS[block.type]} labels"
            yield rule("reading/syntax").finding(path, path, message, line=block.line)


def _first_error(root: Node) -> int:
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_error or node.is_missing:
            return int(node.start_point[0]) + 1
        stack.extend(child for child in reversed(node.children) if child.has_error or child.is_missing)
    return 1


_WRAPPERS = frozenset({"expression", "literal_value", "collection_value", "template_expr"})


class _Reader:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        self.findings: list[Finding] = []

    def _text(self, node: Node) -> str:
        return self._source[node.start_byte : node.end_byte].decode()

    def _found(self, name: str, node: Node, message: str) -> None:
        line = node.start_point[0] + 1
        self.findings.append(
            rule(name).finding(self._path, self._path, f"{self._path}:{line} {message}", line=line)
        )

    def body(self, body: Node, depth: int) -> tuple[dict[str, Attribute], tuple[Block, ...]]:
        """Attributes and blocks of a body; findings for duplicates and depth."""
        attributes: dict[str, Attribute] = {}
        blocks: list[Block] = []
        if depth > MAX_DEPTH:
            self._found("reading/depth", body, f"is nested deeper than {MAX_DEPTH} levels")
            return attributes, ()
        for child in body.named_children:
            if child.type == "attribute":
                attribute = self._attribute(child)
                if attribute.name in attributes:
                    self._found("reading/duplicate-key", child, f"argument {attribute.name!r} stands twice")
                attributes[attribute.name] = attribute
            elif child.type == "block":
                blocks.append(self._block(child, depth + 1))
        return attributes, tuple(blocks)

    def _attribute(self, node: Node) -> Attribute:
        name, expression = node.named_children[0], node.named_children[-1]
        return Attribute(
            self._text(name), self._value(expression, 0), self._text(expression), node.start_point[0] + 1,
            node.start_byte, node.end_byte, expression.start_byte, expression.end_byte,
        )  # fmt: skip

    def _block(self, node: Node, depth: int) -> Block:
        head = [child for child in node.named_children if child.type in {"identifier", "string_lit"}]
        body = next((child for child in node.named_children if child.type == "body"), None)
        close = next(child for child in node.named_children if child.type == "block_end")
        attributes, blocks = self.body(body, depth) if body else ({}, ())
        words = [self._text(h) if h.type == "identifier" else str(self._string(h)) for h in head]
        return Block(
            words[0], tuple(words[1:]), attributes, blocks, node.start_point[0] + 1,
            node.start_byte, node.end_byte, close.start_byte,
        )  # fmt: skip

    def _value(self, node: Node, depth: int) -> Any:  # noqa: ANN401 - any HCL value
        children = node.named_children
        if depth > MAX_DEPTH:
            self._found("reading/depth", node, f"is nested deeper than {MAX_DEPTH} levels")
            return Unknown("")
        if node.type in _WRAPPERS and len(children) == 1:
            return self._value(children[0], depth + 1)
        if node.type == "tuple":
            return tuple(self._value(child, depth + 1) for child in children if child.type == "expression")
        if node.type in {"object", "function_call"}:
            return self._object(node, depth) if node.type == "object" else self._call(node, depth)
        read: dict[str, Callable[[Node], Any]] = {
            "string_lit": self._string,
            "quoted_template": self._string,
            "heredoc_template": self._heredoc,
            "numeric_lit": lambda n: _number(self._text(n)),
            "bool_lit": lambda n: self._text(n) == "true",
            "null_lit": lambda _: None,
        }
        return read[node.type](node) if node.type in read else Unknown(self._text(node))

    def _string(self, node: Node) -> str | Unknown:
        parts = [child for child in node.named_children if not child.type.startswith("quoted_template")]
        if any(part.type not in {"template_literal", "escape_sequence"} for part in parts):
            return Unknown(self._text(node))
        return _unescape(self._text(node)[1:-1])

    def _heredoc(self, node: Node) -> str | Unknown:
        if any(
            child.type in {"template_interpolation", "template_directive"} for child in node.named_children
        ):
            return Unknown(self._text(node))
        return "\n".join(self._text(node).splitlines()[1:-1]) + "\n"

    def _object(self, node: Node, depth: int) -> dict[str, Any] | Unknown:
        result: dict[str, Any] = {}
        for element in node.named_children:
            if element.type != "object_elem":
                continue
            key_node, value_node = element.named_children[0], element.named_children[-1]
            key = self._value(key_node, depth + 1)
            if isinstance(key, Unknown) and re.fullmatch(r"[\w-]+", key.text):
                key = key.text  # a bare word as a key is that word
            if not isinstance(key, str):
                return Unknown(self._text(node))
            if key in result:
                self._found("reading/duplicate-key", element, f"key {key!r} stands twice")
            result[key] = self._value(value_node, depth + 1)
        return result

    def _call(self, node: Node, depth: int) -> Any:  # noqa: ANN401 - any HCL value
        name = self._text(node.named_children[0])
        arguments = [
            c for n in node.named_children if n.type == "function_arguments" for c in n.named_children
        ]
        values = [self._value(argument, depth + 1) for argument in arguments if argument.type == "expression"]
        if name in {"jsonencode", "toset", "tolist", "tostring", "tobool"} and len(values) == 1:
            return values[0]
        return Unknown(self._text(node))


def _number(text: str) -> int | float:
    return float(text) if re.search(r"[.eE]", text) else int(text)


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        body = match.group(1)
        return chr(int(body[1:], 16)) if body[0] in "uU" else _ESCAPES.get(body, body)

    plain = re.sub(r'\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[nrt"\\])', one, text)
    return plain.replace("$${", "${").replace("%%{", "%{")
