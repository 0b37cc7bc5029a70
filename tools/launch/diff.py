"""A change for the eyes of the person who is asked: every call, the resolved destination, the complete diff.

Nothing in it can move the cursor, hide a line or turn the reading direction: whatever is not printable is shown as its
code point.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from policies.change import digest_of
from tools.gate.words import ShownChange, ShownFile


def change_lines(change: ShownChange) -> Iterator[str]:
    """The whole of it, untruncated: what is not shown cannot have been agreed to."""
    return map(visible, _lines(change))


def visible(text: str) -> str:
    """The text with every control, format and other unprintable character as its code point; tabs stay."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\u{{{ord(c):x}}}" for c in text)


def _lines(change: ShownChange) -> Iterator[str]:
    yield f"--- {change.phase}: sign-off {change.signoff}"
    repository, cluster = change.destination.repository, change.destination.cluster
    if repository is not None:
        yield f"repository {repository.full_name} ({repository.host}, id {repository.repository_id}), {repository.base_branch} at {repository.base_commit}"
    if cluster is not None:
        yield f"cluster {cluster.server} (uid {cluster.uid}), namespaces {', '.join(cluster.namespaces) or 'none'}"
    for grant in change.grants:
        yield f"{grant.seq}. {grant.name} {json.dumps(dict(grant.arguments), ensure_ascii=False, sort_keys=True)}"
    for file in change.files:
        yield from _file_lines(file)


def _file_lines(file: ShownFile) -> Iterator[str]:
    yield f"{file.operation} {file.path}" + (f" {digest_of(file.after)}" if file.after is not None else "")
    try:
        # only \n ends a line: a line that ends otherwise now than before is a difference that is shown
        before, after = (
            [] if data is None else data.decode().split("\n") for data in (file.before, file.after)
        )
    except UnicodeDecodeError:
        yield f"{file.path} is not text; {len(file.before or b'')} bytes before, {len(file.after or b'')} after"
        return
    old, new = ("/dev/null" if data is None else file.path for data in (file.before, file.after))
    yield from difflib.unified_diff(before, after, old, new, lineterm="")
