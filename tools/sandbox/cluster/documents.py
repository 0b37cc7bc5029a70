"""YAML as Kubernetes reads it: a date stays the text it is, a plain y or n is a boolean, all else are JSON values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml


class _Strings(yaml.SafeLoader):
    """Safe, and without timestamps."""


_Strings.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Strings.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))
_Strings.add_constructor(
    "tag:yaml.org,2002:bool", lambda _, node: str(node.value).lower() in {"y", "yes", "true", "on"}
)


def load(text: bytes | str) -> Any:  # noqa: ANN401 - any JSON value
    """One document. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Strings)  # noqa: S506 - a SafeLoader


def load_all(text: bytes | str) -> Iterator[Any]:
    """All documents. Raises yaml.YAMLError."""
    yield from yaml.load_all(text, Loader=_Strings)
