"""The manifests of an Application, read from its git repository at one commit by plumbing commands. Nothing is checked out."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tools.sandbox.cluster import documents

Json = dict[str, Any]
Repositories = Callable[[str], Path | None]
"""repoURL -> the bare repository behind it."""
_REVISION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$")
_FULL = re.compile(r"^[0-9a-f]{40}$")
_TOOLS = {
    "kustomization.yaml": "Kustomize",
    "kustomization.yml": "Kustomize",
    "Kustomization": "Kustomize",
    "Chart.yaml": "Helm",
}
_SECONDS = 20
_MAX_BYTES = 10 * 2**20


class SourceError(Exception):
    """The target state cannot be loaded; the message is Argo CD's where it has one."""


class Source:
    """One repository. `git` is the program."""

    def __init__(self, git: str, repository: Path) -> None:
        self._git = git
        self._repository = repository

    def resolve(self, revision: str) -> str:
        """The full SHA of a commit, branch or tag. Raises SourceError."""
        wanted = revision or "HEAD"
        if not _REVISION.match(wanted):
            raise SourceError(f"unable to resolve '{revision}' to a commit SHA")
        names = (
            [wanted]
            if _FULL.match(wanted) or wanted == "HEAD"
            else [f"refs/heads/{wanted}", f"refs/tags/{wanted}"]
        )
        for name in names:
            done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}")
            if done.returncode == 0:
                return done.stdout.decode().strip()
        if _FULL.match(wanted):
            why = "rpc error: code = Unknown desc = failed to initialize repository resources: rpc error: code = Internal desc = "
            fetch = f"`git fetch origin {wanted} --tags --force --prune` failed exit status 128: "
            missing = f"fatal: remote error: upload-pack: not our ref {wanted}"
            raise SourceError(f"{why}Failed to checkout revision {wanted}: {fetch}{missing}")
        raise SourceError(f"unable to resolve '{revision}' to a commit SHA")

    def manifests(self, commit: str, source: Json) -> list[Json]:
        """The objects below `source.path` at a commit, by path. Raises SourceError."""
        root = PurePosixPath(source.get("path") or ".")
        if root.is_absolute() or ".." in root.parts:
            raise SourceError(f"{root}: app path outside the repository")
        options = source.get("directory") or {}
        files = self._files(commit, root)
        if str(root) != "." and not files:
            raise SourceError(f"{root}: app path does not exist")
        _refuse_tools(source, {str(path.relative_to(root)) for path, _, _ in files})
        wanted = [entry for entry in files if _is_wanted(entry[0].relative_to(root), options)]
        found: list[Json] = []
        size = 0
        for path, mode, oid in wanted:
            if mode == "120000":
                raise SourceError(f"{path}: symbolic links are not followed in the rehearsal")
            content = self._checked("cat-file", "blob", oid)
            size += len(content)
            if size > _MAX_BYTES:
                raise SourceError(f"the manifests below {root} are larger than {_MAX_BYTES} bytes")
            found += _objects(path, content)
        return found

    def _files(self, commit: str, root: PurePosixPath) -> list[tuple[PurePosixPath, str, str]]:
        """(path, mode, object id) of every file below a folder."""
        where = [] if str(root) == "." else [f"{root}/"]
        listed = self._checked("ls-tree", "-r", "-z", "--full-tree", commit, "--", *where)
        files = []
        for line in filter(None, listed.decode(errors="surrogateescape").split("\0")):
            about, _, path = line.partition("\t")
            mode, kind, oid = about.split()
            if kind == "blob":
                files.append((PurePosixPath(path), mode, oid))
        return files

    def _checked(self, *arguments: str) -> bytes:
        done = self._run(*arguments)
        if done.returncode:
            raise SourceError(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [self._git, "--git-dir", str(self._repository), *arguments]
        try:
            return subprocess.run(
                command, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise SourceError(f"git could not read {self._repository.name}: {fault}") from fault


def _refuse_tools(source: Json, names: set[str]) -> None:
    """Only plain directories are rehearsed; the rest is said, not guessed."""
    asked = [name.capitalize() for name in ("helm", "kustomize", "plugin") if source.get(name)]
    asked += ["Helm"] if source.get("chart") else []
    asked += [tool for name, tool in _TOOLS.items() if name in names]
    asked += ["Jsonnet"] if any(name.endswith(".jsonnet") for name in names) else []
    if asked:
        raise SourceError(
            f"{asked[0]} is not supported in the rehearsal: it reads plain directories of YAML or JSON"
        )


def _is_wanted(path: PurePosixPath, options: Json) -> bool:
    if len(path.parts) > 1 and not options.get("recurse"):
        return False
    if options.get("exclude") and fnmatch(str(path), options["exclude"]):
        return False
    if options.get("include") and not fnmatch(str(path), options["include"]):
        return False
    return path.suffix in {".yaml", ".yml", ".json"}


def _objects(path: PurePosixPath, content: bytes) -> Iterator[Json]:
    try:
        loaded = [json.loads(content)] if path.suffix == ".json" else list(documents.load_all(content))
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise SourceError(f'Failed to unmarshal "{path.name}": {fault}') from fault
    for document in loaded:
        if document is None:
            continue
        if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
            raise SourceError(f"Failed to unmarshal \"{path.name}\": Object 'Kind' is missing")
        items = document.get("items")
        if str(document["kind"]).endswith("List") and isinstance(items, list):
            yield from items
        else:
            yield document
