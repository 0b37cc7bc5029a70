"""A change for the eyes of the person who is asked: every call, the resolved destination, the complete diff."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from tools.gate.words import ShownChange, ShownFile


def change_lines(change: ShownChange) -> Iterator[str]:
    """The whole of it, untruncated: what is not shown cannot have been agreed to."""
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
    try:
        before, after = ((data or b"").decode().splitlines() for data in (file.before, file.after))
    except UnicodeDecodeError:
        yield f"{file.operation} {file.path}: not text; {len(file.before or b'')} bytes before, {len(file.after or b'')} after"
        return
    old, new = ("/dev/null" if data is None else file.path for data in (file.before, file.after))
    yield from difflib.unified_diff(before, after, old, new, lineterm="")
