"""The repository itself: who asks, branches, files, commits, comparisons."""

from __future__ import annotations

import base64
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from starlette.routing import BaseRoute

from tools.sandbox.github import views
from tools.sandbox.github.asking import Answer, Ask, page, route
from tools.sandbox.github.bare import Entry, NoSuchObjectError
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.refusal import RefusalError, not_found

_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


def routes(hub: Hub) -> list[BaseRoute]:
    """The repository endpoints."""
    return [
        route(hub, "GET", "/api/v3/user", get_user),
        route(hub, "GET", "", get_repository),
        route(hub, "GET", "/branches", list_branches),
        route(hub, "GET", "/branches/{branch:path}", get_branch),
        route(hub, "GET", "/contents/{path:path}", get_contents),
        route(hub, "GET", "/commits", list_commits),
        route(hub, "GET", "/commits/{ref:path}", get_commit),
        route(hub, "GET", "/compare/{basehead:path}", compare),
    ]


def get_user(hub: Hub, _ask: Ask) -> views.Json:
    """Whose token this is."""
    return views.private_user(hub)


def get_repository(hub: Hub, _ask: Ask) -> views.Json:
    """The repository."""
    return views.repository(hub)


def list_branches(hub: Hub, ask: Ask) -> Answer:
    """Names and tips."""
    branches = {
        n.removeprefix("refs/heads/"): s for n, s in hub.git.refs().items() if n.startswith("refs/heads/")
    }
    shown = [
        {"name": name, "commit": {"sha": sha, "url": f"{hub.api_repo}/commits/{sha}"}, "protected": False}
        for name, sha in branches.items()
    ]
    return page(ask, shown)


def get_branch(hub: Hub, ask: Ask) -> views.Json:
    """One branch with its tip."""
    name = ask.path["branch"]
    tip = hub.git.tip(name)
    if tip is None:
        raise RefusalError(404, "Branch not found", page="/branches/branches#get-a-branch")
    url = f"{hub.api_repo}/branches/{quote(name)}"
    return {
        "name": name,
        "commit": views.commit(hub, hub.git.commit(tip)),
        "_links": {"self": url, "html": f"{hub.html_repo}/tree/{quote(name)}"},
        "protected": False,
        "protection": {
            "enabled": False,
            "required_status_checks": {"contexts": [], "checks": [], "enforcement_level": "off"},
        },
        "protection_url": f"{url}/protection",
    }


def get_contents(hub: Hub, ask: Ask) -> Any:  # noqa: ANN401 - an object for a file, a list for a folder
    """A file with its bytes, or a folder's lines, at `ref`."""
    ref = ask.query.get("ref", hub.settings.default_branch)
    path = ask.path["path"].strip("/")
    entries = hub.git.entries(hub.git.commit(hub.git.resolve(ref)).tree, recursive=True)
    here = [e for e in entries if str(PurePosixPath(e.path).parent) == (path or ".")]
    found = next((e for e in entries if e.path == path), None)
    if found is not None and found.kind == "blob":
        return _file(hub, found, ref) | {
            "content": base64.encodebytes(hub.git.object("blob", found.sha)).decode(),
            "encoding": "base64",
        }
    if not here:
        raise not_found("/repos/contents#get-repository-content")
    return [_file(hub, entry, ref) for entry in here]


def list_commits(hub: Hub, ask: Ask) -> Answer:
    """History, newest first, from `sha`, optionally of `path`."""
    tip = hub.git.resolve(ask.query.get("sha", hub.settings.default_branch))
    found = reversed(hub.git.history(tip, path=ask.query.get("path")))
    return page(ask, [views.commit(hub, hub.git.commit(sha)) for sha in found])


def get_commit(hub: Hub, ask: Ask) -> views.Json:
    """One commit with its diff against its first parent."""
    try:
        sha = hub.git.resolve(ask.path["ref"])
    except NoSuchObjectError as missing:
        raise RefusalError(422, str(missing), page="/commits/commits#get-a-commit") from missing
    found = hub.git.commit(sha)
    files = changed_files(hub, found.parents[0] if found.parents else None, sha)
    totals = {key: sum(int(f[key]) for f in files) for key in ("additions", "deletions")}
    stats = {**totals, "total": totals["additions"] + totals["deletions"]}
    return {**views.commit(hub, found), "stats": stats, "files": files}


def compare(hub: Hub, ask: Ask) -> views.Json:
    """Three-dot comparison of two revisions."""
    base_name, dots, head_name = ask.path["basehead"].partition("...")
    if not dots:
        raise not_found("/commits/commits#compare-two-commits")
    base, head = hub.git.resolve(base_name), hub.git.resolve(head_name)
    common = hub.git.merge_base(base, head)
    if common is None:
        raise RefusalError(404, f"No common ancestor between {base_name} and {head_name}.")
    ahead = hub.git.history(head, without=base)
    behind = len(hub.git.history(base, without=head))
    status = "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else "identical"
    html = f"{hub.html_repo}/compare/{base_name}...{head_name}"
    return {
        "url": ask.url,
        "html_url": html,
        "permalink_url": f"{hub.html_repo}/compare/{base}...{head}",
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": views.commit(hub, hub.git.commit(base)),
        "merge_base_commit": views.commit(hub, hub.git.commit(common)),
        "status": status,
        "ahead_by": len(ahead),
        "behind_by": behind,
        "total_commits": len(ahead),
        "commits": [views.commit(hub, hub.git.commit(sha)) for sha in ahead],
        "files": changed_files(hub, common, head),
    }


def changed_files(hub: Hub, base: str | None, head: str) -> list[views.Json]:
    """Git's own diff between two commits as GitHub's `diff-entry`s; None stands for the empty tree."""
    old = base or hub.git.line("hash-object", "-t", "tree", "--stdin")
    flags = ("diff-tree", "-r", "-z", "--find-renames", "--no-commit-id")
    raw = hub.git.run(*flags, "--raw", "--no-abbrev", old, head).decode(errors="surrogateescape").split("\0")
    files, position = [], 0
    while position < len(raw) and raw[position]:
        _, _, old_sha, new_sha, letter = raw[position].split()
        renamed = letter[0] in "RC"
        names = raw[position + 1 : position + (3 if renamed else 2)]
        position += 3 if renamed else 2
        entry = _diff_entry(hub, letter[0], names, old_sha if letter[0] == "D" else new_sha, head)
        files.append(entry | _patch(hub, old, head, names))
    return files


def _diff_entry(hub: Hub, letter: str, names: list[str], sha: str, head: str) -> views.Json:
    name = quote(names[-1])
    entry = {
        "sha": sha,
        "filename": names[-1],
        "status": _STATUS[letter],
        "blob_url": f"{hub.html_repo}/blob/{head}/{name}",
        "raw_url": f"{hub.html_repo}/raw/{head}/{name}",
        "contents_url": f"{hub.api_repo}/contents/{name}?ref={head}",
    }
    return entry | ({"previous_filename": names[0]} if len(names) > 1 else {})


def _patch(hub: Hub, old: str, head: str, names: list[str]) -> views.Json:
    text = hub.git.run("diff-tree", "-p", "--find-renames", "--no-commit-id", old, head, "--", *names)
    lines = text.decode(errors="replace").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("@@")), len(lines))
    body = lines[start:]
    counts = {
        "additions": sum(bool(re.match(r"\+", line)) for line in body),
        "deletions": sum(bool(re.match(r"-", line)) for line in body),
    }
    return {**counts, "changes": sum(counts.values())} | ({"patch": "\n".join(body)} if body else {})


def _file(hub: Hub, entry: Entry, ref: str) -> views.Json:
    kinds = {"tree": "dir", "commit": "submodule"}
    kind = kinds.get(entry.kind, "symlink" if entry.mode == "120000" else "file")
    url = f"{hub.api_repo}/contents/{quote(entry.path)}?ref={quote(ref)}"
    git_url = f"{hub.api_repo}/git/{entry.kind}s/{entry.sha}"
    html = f"{hub.html_repo}/{'tree' if kind == 'dir' else 'blob'}/{quote(ref)}/{quote(entry.path)}"
    return {
        "type": kind,
        "size": entry.size or 0,
        "name": PurePosixPath(entry.path).name,
        "path": entry.path,
        "sha": entry.sha,
        "url": url,
        "git_url": git_url,
        "html_url": html,
        "download_url": f"{hub.html_repo}/raw/{quote(ref)}/{quote(entry.path)}" if kind == "file" else None,
        "_links": {"self": url, "git": git_url, "html": html},
    }
