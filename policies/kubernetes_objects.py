"""Kubernetes objects in files: each with its place, however it is wrapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from policies.change import canonical
from policies.documents import Document
from policies.finding import Finding, ManifestPatch, SetValue
from policies.rules import rule


@dataclass(frozen=True)
class ManifestObject:
    """One object of a file; `pointer` is its place in the document (an item of a List has its own)."""

    document: Document
    pointer: str
    value: dict[str, Any]

    @property
    def path(self) -> str:
        """The file."""
        return self.document.path

    @property
    def kind(self) -> str:
        """Such as Deployment."""
        return str(self.value.get("kind", ""))

    @property
    def api_version(self) -> str:
        """Such as apps/v1."""
        return str(self.value.get("apiVersion", ""))

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def metadata(self) -> dict[str, Any]:
        """metadata, or empty."""
        return mapping(self.value.get("metadata"))

    @property
    def name(self) -> str:
        """metadata.name, or metadata.generateName."""
        return str(self.metadata.get("name") or self.metadata.get("generateName") or "")

    @property
    def namespace(self) -> str:
        """metadata.namespace, or empty."""
        return str(self.metadata.get("namespace") or "")

    @property
    def label(self) -> str:
        """Kind/name, as findings call it."""
        return f"{self.kind}/{self.name}"

    def line(self, pointer: str = "") -> int:
        """The line of a pointer that is relative to the object."""
        return self.document.line_of(self.pointer + pointer)

    def canonical(self) -> bytes:
        """RFC 8785 JSON of the object."""
        return canonical(self.value)

    def patch(self, *edits: SetValue) -> tuple[ManifestPatch, ...]:
        """The edits as one patch of this object; none without edits."""
        if not edits:
            return ()
        return (ManifestPatch(path=self.path, object_kind=self.kind, object_name=self.name, edits=edits),)


def mapping(value: object) -> dict[str, Any]:
    """`value` when it is a mapping, else an empty one: the models report the wrong type."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """`value` when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def is_object(value: object) -> bool:
    """Whether a value claims to be a Kubernetes object."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("kind"), str)
        and isinstance(value.get("apiVersion"), str)
    )


_LIST_KEYS = frozenset({"apiVersion", "kind", "metadata", "items"})


def objects_of(document: Document) -> Iterator[ManifestObject]:
    """Every object of a document, the items of a List one by one."""
    yield from _objects_at(document, "", document.value)


def _objects_at(document: Document, pointer: str, value: object) -> Iterator[ManifestObject]:
    if not isinstance(value, dict) or not is_object(value):
        return
    items = value.get("items")
    wrapper = str(value["kind"]).endswith("List") and isinstance(items, list)
    for index, item in enumerate(sequence(items) if wrapper else ()):
        yield from _objects_at(document, f"{pointer}/items/{index}", item)
    if not wrapper or set(value) - _LIST_KEYS:  # a List that holds more than items is an object as well
        yield ManifestObject(document, pointer, value)


def odd_items(document: Document) -> Iterator[Finding]:
    """Documents and List items that look like objects but are none that an API server would take."""
    value = document.value
    candidates: list[tuple[str, object]] = [("", value)]
    if isinstance(value, dict) and str(value.get("kind", "")).endswith("List"):
        candidates = [(f"/items/{i}", item) for i, item in enumerate(sequence(value.get("items")))]
    for pointer, item in candidates:
        if is_object(item) and mapping(mapping(item).get("metadata")).get("name"):
            continue
        if is_object(item) and mapping(mapping(item).get("metadata")).get("generateName"):
            continue
        claims = isinstance(item, dict) and ("kind" in item or "apiVersion" in item)
        if claims or pointer:
            line = document.line_of(pointer)
            message = f"{document.path}:{line} lacks apiVersion, kind or metadata.name"
            yield rule("reading/not-an-object").finding(
                document.path, f"document {document.index}{pointer}", message, line=line
            )
