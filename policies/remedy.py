"""Apply the remediations of findings to files. Pure: files in, files out; twice is the same as once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from policies import documents, kubernetes_objects
from policies.finding import HclEdit, ManifestPatch, ParameterChange, Remediation, SetValue, TextEdit
from policies.hcl import Block, HclFile, read_hcl


class RemedyError(Exception):
    """A remediation does not fit the files; the message says which, and why."""


def apply(remediations: Iterable[Remediation], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files after every edit, in order.

    Raises RemedyError for an edit without its target, and for a ParameterChange: that one is for whoever renders
    the blueprint.
    """
    result = dict(files)
    for remediation in remediations:
        if isinstance(remediation, ParameterChange):
            raise RemedyError(
                f"parameter {remediation.parameter!r} is changed by rendering the blueprint again, not by an edit"
            )
        if remediation.path not in result:
            raise RemedyError(f"{remediation.path} is not among the files")
        data = result[remediation.path]
        if isinstance(remediation, ManifestPatch):
            result[remediation.path] = _patch(remediation, data)
        elif isinstance(remediation, HclEdit):
            result[remediation.path] = _hcl(remediation, data)
        else:
            result[remediation.path] = _text(remediation, data)
    return result


def _text(edit: TextEdit, data: bytes) -> bytes:
    text = data.decode()
    count = text.count(edit.old)
    done = text.count(edit.new) if edit.new else 0
    if done and count == done * edit.new.count(edit.old):
        return data  # each `old` that is left is a part of the `new` that stands there already
    if count != 1:
        raise RemedyError(f"{edit.old!r} occurs {count} times in {edit.path}, not once")
    return text.replace(edit.old, edit.new).encode()


def _patch(patch: ManifestPatch, data: bytes) -> bytes:
    reading = documents.read(patch.path, data)
    if reading.findings:
        raise RemedyError(f"{patch.path} cannot be read: {reading.findings[0].message}")
    targets = [
        found.value
        for document in reading.documents
        for found in kubernetes_objects.objects_of(document)
        if (found.kind, found.name) == (patch.object_kind, patch.object_name)
    ]
    if len(targets) != 1:
        raise RemedyError(
            f"{patch.path} has {len(targets)} objects {patch.object_kind}/{patch.object_name}, not one"
        )
    before = json.dumps(targets[0])
    for edit in patch.edits:
        _set(targets[0], edit, f"{patch.path} {patch.object_kind}/{patch.object_name}")
    if json.dumps(targets[0]) == before:
        return data
    values = [document.value for document in reading.documents]
    if patch.path.endswith(".json"):
        return (json.dumps(values[0], indent=2, ensure_ascii=False) + "\n").encode()
    return dump_yaml(values)


def dump_yaml(values: Iterable[Any]) -> bytes:
    """Documents as block-style YAML that our strict reader reads back as the same values, keys in their order."""
    texts = [
        yaml.dump(
            value,
            Dumper=_PlainDumper,
            sort_keys=False,
            allow_unicode=True,
            width=4096,
            default_flow_style=False,
        )
        for value in values
    ]
    return "---\n".join(texts).encode()


class _PlainDumper(yaml.SafeDumper):
    """No aliases; strings that any reader could take for something else are quoted."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's signature
        """Always: an alias would be refused on the next reading."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Lists are indented below their key."""
        super().increase_indent(flow, False)


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" in text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    style = '"' if documents.is_ambiguous(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_PlainDumper.add_representer(str, _string)


def _set(target: Any, edit: SetValue, where: str) -> None:  # noqa: ANN401 - JSON
    keys = [part.replace("~1", "/").replace("~0", "~") for part in edit.pointer.split("/")[1:]]
    if not keys:
        raise RemedyError(f"{where}: the pointer {edit.pointer!r} names the whole object")
    for position, key in enumerate(keys[:-1]):
        child = _child(target, key, where, edit.pointer)
        if child is None:
            if edit.remove:
                return
            if isinstance(target, list):
                raise RemedyError(f"{where} has nothing at {edit.pointer}")
            child = target[key] = {}
        if not isinstance(child, dict | list):
            raise RemedyError(f"{where} has a plain value at {'/'.join(['', *keys[: position + 1]])}")
        target = child
    last = keys[-1]
    if isinstance(target, dict):
        if edit.remove:
            target.pop(last, None)
        else:
            target[last] = edit.value
        return
    if edit.remove or not (last.isdigit() and int(last) < len(target)):
        raise RemedyError(f"{where}: {edit.pointer} does not name an item that can be set")
    target[int(last)] = edit.value


def _child(target: Any, key: str, where: str, pointer: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(target, dict):
        return target.get(key)
    if key.isdigit() and int(key) < len(target):
        return target[int(key)]
    raise RemedyError(f"{where} has nothing at {pointer}")


def _hcl(edit: HclEdit, data: bytes) -> bytes:
    parsed = _parsed(edit.path, data)
    if not edit.block:
        return _append_to_file(edit, parsed, data)
    block = _find(parsed, edit)
    if edit.append is not None:
        data = _append_to_block(block, edit, data)
        block = _find(_parsed(edit.path, data), edit)
    if edit.attribute is not None:
        data = _set_attribute(block, edit, data)
        _parsed(edit.path, data)
    return data


def _parsed(path: str, data: bytes) -> HclFile:
    parsed = read_hcl(path, data)
    if parsed.findings:
        raise RemedyError(f"{path} cannot be read: {parsed.findings[0].message}")
    return parsed


def _append_to_file(edit: HclEdit, parsed: HclFile, data: bytes) -> bytes:
    if not edit.append:
        raise RemedyError(f"an edit of {edit.path} names neither a block nor text to append")
    added = _parsed(edit.path, edit.append.encode())
    present = {block.address for block in parsed.blocks}
    if added.blocks and all(block.address in present for block in added.blocks):
        return data
    separator = b"" if not data else b"\n" if data.endswith(b"\n") else b"\n\n"
    return data + separator + edit.append.strip("\n").encode() + b"\n"


def _find(parsed: HclFile, edit: HclEdit) -> Block:
    wanted = edit.block
    tops = [block for block in parsed.blocks if block.address == wanted[: len(block.address)]]
    if len(tops) != 1:
        raise RemedyError(f"{edit.path} has {len(tops)} blocks {' '.join(wanted)}, not one")
    block = tops[0]
    for name in wanted[len(block.address) :]:
        inner = [child for child in block.blocks if child.type == name]
        if len(inner) != 1:
            raise RemedyError(f"{edit.path}: {block.name} has {len(inner)} blocks {name}, not one")
        block = inner[0]
    return block


def _indent(block: Block, data: bytes) -> str:
    start = data.rfind(b"\n", 0, block.start) + 1
    lead = re.match(rb"[ \t]*", data[start : block.start])
    return (lead.group().decode() if lead else "") + "  "


def _append_to_block(block: Block, edit: HclEdit, data: bytes) -> bytes:
    text = (edit.append or "").strip("\n")
    added = _parsed(edit.path, text.encode()).blocks
    if added and all(any(child.address == new.address for child in block.blocks) for new in added):
        return data
    indent = _indent(block, data)
    lines = "\n".join(indent + line if line else "" for line in text.splitlines())
    return _insert(block, lines, indent, data)


def _insert(block: Block, lines: str, indent: str, data: bytes) -> bytes:
    """Put lines before the closing brace, whether or not it stands on a line of its own."""
    head = data[: block.close].rstrip(b" \t")
    newline = b"" if head.endswith(b"\n") else b"\n"
    return head + newline + lines.encode() + b"\n" + indent[:-2].encode() + data[block.close :]


def _set_attribute(block: Block, edit: HclEdit, data: bytes) -> bytes:
    name = edit.attribute or ""
    present = block.attributes.get(name)
    if edit.expression is None:
        if present is None:
            return data
        start = data.rfind(b"\n", 0, present.start) + 1
        whole = not data[start : present.start].strip()
        end = data.find(b"\n", present.end) + 1 or len(data)
        return data[:start] + data[end:] if whole else data[: present.start] + data[present.end :]
    if present is not None:
        return data[: present.value_start] + edit.expression.encode() + data[present.value_end :]
    same = [child for child in block.blocks if child.type == name]
    if same:
        raise RemedyError(f"{edit.path}: {block.name} has a block {name}, not an argument")
    indent = _indent(block, data)
    return _insert(block, f"{indent}{name} = {edit.expression}", indent, data)
