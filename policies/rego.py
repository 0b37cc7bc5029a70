"""Rego policies in the manner of conftest: packages with `deny`, `violation` or `warn`, each document as `input`.

The engine answers an unknown or failing builtin with silence. So: builtin errors are strict, each result's `ok` is
checked, and a policy that names a builtin which the engine lacks is refused before anything is judged.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.finding import Finding
from policies.kubernetes_objects import ManifestObject
from policies.rules import rule

if TYPE_CHECKING:
    from regopy import Interpreter

ENGINE = "rego"
BUNDLE = Path(__file__).resolve().parent / "rego"
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)", re.MULTILINE)
_CALL = re.compile(r"(?<![\w.])([a-z_][\w]*(?:\.[a-z_]\w*)*)\(")
_RULE_NAME = re.compile(r"^\s*(deny|violation|warn)(_\w+)?\b", re.MULTILINE)
_DEFINED = re.compile(r"^\s*(?:default\s+)?([a-z_]\w*)\s*(?:\(|:=|=|contains|if|\[|\{)", re.MULTILINE)
_KEYWORDS = frozenset(
    {"if", "contains", "every", "some", "in", "not", "with", "as", "default", "else", "import", "package"}
)
_TEXT = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|#[^\n]*')


class RegoFaultError(Exception):
    """A policy cannot be used; the message names it and says why. Nothing may be judged clean then."""


@dataclass(frozen=True)
class Policy:
    """One Rego module: its file's name, package and the rule names that deny."""

    name: str
    package: str
    source: str
    rules: tuple[str, ...]


def engine_name() -> str:
    """`rego@VERSION` of the installed engine; raises PackageNotFoundError without one."""
    return f"{ENGINE}@{importlib.metadata.version('regopy')}"


def load_folder(folder: Path) -> tuple[Policy, ...]:
    """Every .rego file below a folder, tests (`*_test.rego`) left out, in the order of their paths."""
    files = sorted(path for path in folder.rglob("*.rego") if not path.name.endswith("_test.rego"))
    return load({path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files})


@cache
def our_bundle() -> tuple[Policy, ...]:
    """The policies that ship with this package."""
    return load_folder(BUNDLE)


def load(sources: Mapping[str, str]) -> tuple[Policy, ...]:
    """Policies from their texts. Raises RegoFaultError for one without a package, or with v0 syntax or an unknown builtin."""
    policies = []
    for name, source in sources.items():
        package = _PACKAGE.search(source)
        if package is None:
            raise RegoFaultError(f"{name} has no package")
        rules = sorted({"".join(found) for found in _RULE_NAME.findall(source)})
        policies.append(Policy(name, package.group(1), source, tuple(rules)))
    engine = _interpreter()
    known = {function for policy in policies for function in _DEFINED.findall(policy.source)}
    for policy in policies:
        if re.search(r"^\s*(deny|violation|warn)(_\w+)?\s*\[", policy.source, re.MULTILINE):
            raise RegoFaultError(
                f"{policy.name} is written in Rego v0; write `deny contains msg if {{ ... }}`"
            )
        for call in sorted(set(_CALL.findall(_TEXT.sub('""', policy.source)))):
            local = call in known or call.startswith(("data.", "input.")) or call.rpartition(".")[2] in known
            if not local and call not in _KEYWORDS and not engine.is_builtin(call):
                raise RegoFaultError(f"{policy.name} calls {call}, which the engine does not have")
    return tuple(policies)


def _interpreter() -> Interpreter:
    from regopy import Interpreter  # noqa: PLC0415 - a native engine, only where policies run

    engine = Interpreter()
    engine.strict_built_in_errors = True
    return engine


class RegoEngine:
    """Policies ready to judge documents one by one."""

    def __init__(self, policies: tuple[Policy, ...], data: Mapping[str, Any] | None = None) -> None:
        self._policies = policies
        self._engine = _interpreter()
        if data:
            self._engine.add_data(dict(data))
        for policy in policies:
            self._add(policy)
        for _ in self.judge({}):
            pass  # a policy that fails on nothing at all is broken, whatever it is asked later

    def _add(self, policy: Policy) -> None:
        from regopy import RegoError  # noqa: PLC0415

        try:
            self._engine.add_module(policy.name, policy.source)
        except RegoError as error:
            raise RegoFaultError(f"{policy.name} is no Rego: {error}") from error

    def judge(self, document: Any) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - any JSON
        """(rule name, result) of every deny; a result is {"msg": text, ...}. Raises RegoFaultError."""
        from regopy import RegoError  # noqa: PLC0415

        queries = sorted({(policy.package, name) for policy in self._policies for name in policy.rules})
        try:
            self._engine.set_input(document)
            for package, name in queries:
                output = self._engine.query(f"result = data.{package}.{name}")
                if not output.ok():
                    raise RegoFaultError(f"{package}.{name} failed: {output}")
                for entry in _results(str(output)):
                    yield name, entry
        except RegoError as error:
            raise RegoFaultError(f"the policies cannot be evaluated: {error}") from error

    def findings(self, owner: ManifestObject) -> Iterator[Finding]:
        """The denials of one object. A result may name one of our `rego/` rules by `rule`; a user's policy need not."""
        try:
            denials = list(self.judge(owner.value))
        except RegoFaultError as error:
            message = f"no policy can judge {owner.label}: {error}"
            yield rule("rego/undecided").finding(
                owner.path, owner.label, message, line=owner.line(), engine=ENGINE
            )
            return
        for name, entry in denials:
            fallback = "rego/warned" if name.startswith("warn") else "rego/denied"
            identity = str(entry.get("rule") or fallback)
            if not identity.startswith("rego/") or "msg" not in entry:
                raise RegoFaultError(
                    f"{name} gave {entry}; a result has a msg, and a rule only of policies/rules.py"
                )
            yield rule(identity).finding(
                owner.path, owner.label, str(entry["msg"]), line=owner.line(), engine=ENGINE
            )


def _results(output: str) -> list[dict[str, Any]]:
    answer = json.loads(output)
    value = answer.get("bindings", {}).get("result", []) if isinstance(answer, dict) else None
    if not isinstance(value, list):
        raise RegoFaultError(f"a deny rule gave {output[:200]}, not a set")
    return [entry if isinstance(entry, dict) else {"msg": str(entry)} for entry in value]
