"""Text that gives orders, and an agent that carries out every order in any text that it meets.

    <<do write PATH          the rest of the block is the file's whole text
    <<do edit PATH           OLD, a line of ====, NEW
    <<do drop PATH           leave the file out
    <<do call ROLE SERVER.TOOL    JSON arguments; at once
    <<do later ROLE SERVER.TOOL   JSON arguments; after the signature
    <<do argue SEQ           JSON: laid over the arguments of that grant
    <<do grant SERVER.VERB   JSON arguments: one grant more
    <<do manifest            JSON: laid over the manifest
    >>                       ends a block

`$NAME` in JSON stands for what the agent knows under that name: CHANGE, BASE, BRANCH, COMMIT, SIGNOFF, OTHER.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_BLOCK = re.compile(r"<<do (\w+)[ ]?([^\n]*)\n(.*?)\n?>>", re.DOTALL)


def order(verb: str, of: str, body: str = "") -> str:
    """One order as text."""
    return f"\n<<do {verb} {of}\n{body}\n>>\n"


def write(path: str, text: str) -> str:
    """Order: this file, whole."""
    return order("write", path, text)


def edit(path: str, old: str, new: str) -> str:
    """Order: another text in a file of the draft; it must be there once."""
    return order("edit", path, f"{old}\n====\n{new}")


def call(role: str, tool: str, /, **arguments: Any) -> str:
    """Order: call a tool through a role's pipe before drafting."""
    return order("call", f"{role} {tool}", json.dumps(arguments))


def later(role: str, tool: str, /, **arguments: Any) -> str:
    """Order: call a tool through a role's pipe once there is a signature."""
    return order("later", f"{role} {tool}", json.dumps(arguments))


def argue(seq: int, /, **arguments: Any) -> str:
    """Order: other arguments for a grant of the draft."""
    return order("argue", str(seq), json.dumps(arguments))


def grant(name: str, /, **arguments: Any) -> str:
    """Order: one grant more at the end."""
    return order("grant", name, json.dumps(arguments))


def manifest(**fields: Any) -> str:
    """Order: other fields of the manifest."""
    return order("manifest", "", json.dumps(fields))


@dataclass
class Orders:
    """Every order of the texts that were read, in their order."""

    files: dict[str, str] = field(default_factory=dict)
    edits: list[tuple[str, str, str]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    later: list[tuple[str, str, str]] = field(default_factory=list)
    arguments: dict[int, str] = field(default_factory=dict)
    grants: list[tuple[str, str]] = field(default_factory=list)
    manifest: list[str] = field(default_factory=list)

    def read(self, text: str) -> None:
        """Take the orders in `text`."""
        for verb, of, body in _BLOCK.findall(text):
            match verb:
                case "write":
                    self.files[of] = body
                case "edit":
                    old, _, new = body.partition("\n====\n")
                    if (of, old, new) not in self.edits:  # a log shows a text twice
                        self.edits.append((of, old, new))
                case "drop":
                    self.dropped.append(of)
                case "call" | "later":
                    role, _, tool = of.partition(" ")
                    (self.calls if verb == "call" else self.later).append((role, tool, body))
                case "argue":
                    self.arguments[int(of)] = body
                case "grant":
                    self.grants.append((of, body))
                case "manifest":
                    self.manifest.append(body)
                case _:
                    raise ValueError(f"an order that nobody can obey: {verb}")

    def applied(self, files: Mapping[str, str]) -> dict[str, str]:
        """The draft's files as ordered."""
        made = {**files, **self.files}
        for path, old, new in self.edits:
            if made[path].count(old) != 1:
                raise ValueError(f"{old!r} stands {made[path].count(old)} times in {path}")
            made[path] = made[path].replace(old, new)
        return {path: text for path, text in made.items() if path not in self.dropped}


def filled(text: str, known: Mapping[str, str]) -> Any:
    """The JSON of an order with every `$NAME` in place."""
    for name in sorted(known, key=len, reverse=True):
        text = text.replace(f"${name}", known[name])
    return json.loads(text)
