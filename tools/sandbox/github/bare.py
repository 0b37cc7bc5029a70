"""A bare git repository, spoken to through git's own plumbing.

Every child gets a scrubbed environment: no user or system configuration, no hooks, no prompt.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MISSING = "0" * 40
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
_SHA = re.compile(r"[0-9a-f]{40}")


class GitFaultError(Exception):
    """git said no; the message is its own."""


class NoSuchObjectError(GitFaultError):
    """The repository has no such commit, tree, blob or reference."""


@dataclass(frozen=True)
class Signature:
    """Who and when, as git records it: seconds since 1970 and an offset such as +0000."""

    name: str
    email: str
    seconds: int
    offset: str


@dataclass(frozen=True)
class Commit:
    """One parsed commit."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


@dataclass(frozen=True)
class Entry:
    """One line of a tree; `size` is None for anything but a blob."""

    mode: str
    kind: str
    sha: str
    size: int | None
    path: str


def environment(search_path: str = SEARCH_PATH) -> dict[str, str]:
    """The whole environment of a git child."""
    return {
        "PATH": search_path,
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


@dataclass(frozen=True)
class BareRepository:
    """git plumbing over one bare repository folder."""

    path: Path
    git: str
    search_path: str = SEARCH_PATH

    @classmethod
    def at(cls, path: Path, search_path: str = SEARCH_PATH) -> BareRepository:
        """The repository at `path`, made if it is not there; raises GitFaultError when there is no git."""
        git = shutil.which("git", path=search_path)
        if git is None:
            raise GitFaultError(
                "git was not found: install git, the sandbox's GitHub keeps a real repository"
            )
        repository = cls(path, git, search_path)
        if not (path / "HEAD").is_file():
            path.mkdir(parents=True, exist_ok=True)
            repository.run("init", "--quiet", "--bare", "--initial-branch=main", str(path))
            repository.run("config", "uploadpack.allowAnySHA1InWant", "true")
            repository.run("config", "gc.auto", "0")
        return repository

    def command(self, *arguments: str) -> list[str]:
        """The argument list of one git call on this repository."""
        return [self.git, "-c", "core.hooksPath=/dev/null", f"--git-dir={self.path}", *arguments]

    def run(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """Git's standard output. Raises GitFaultError with git's own words."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            check=False,
            env={**environment(self.search_path), **(env or {})},
        )
        if done.returncode != 0:
            raise GitFaultError(done.stderr.decode(errors="replace").strip() or f"git exit {done.returncode}")
        return done.stdout

    def line(self, *arguments: str, stdin: bytes = b"") -> str:
        """Git's one-line answer."""
        return self.run(*arguments, stdin=stdin).decode().strip()

    def refs(self) -> dict[str, str]:
        """Full reference name -> object id."""
        lines = self.line("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        return {name: sha for sha, name in (line.split(" ", 1) for line in lines)}

    def tip(self, branch: str) -> str | None:
        """The commit at a branch, or None."""
        return self.refs().get(f"refs/heads/{branch}")

    def kind(self, sha: str) -> str | None:
        """`commit`, `tree`, `blob` or `tag`; None when there is no such object."""
        if not _SHA.fullmatch(sha):
            return None
        answer = self.line("cat-file", "--batch-check=%(objecttype)", stdin=f"{sha}\n".encode())
        return None if answer.endswith("missing") else answer

    def resolve(self, revision: str) -> str:
        """The commit that a branch, tag, full reference or commit id names. Raises NoSuchObjectError."""
        refs = self.refs()
        found = next((refs[name] for name in _spellings(revision) if name in refs), revision)
        if self.kind(found) not in {"commit", "tag"}:
            raise NoSuchObjectError(f"No commit found for SHA: {revision}")
        return self.line("rev-parse", f"{found}^{{commit}}")

    def object(self, kind: str, sha: str) -> bytes:
        """The bytes of one object of that kind. Raises NoSuchObjectError."""
        if not _SHA.fullmatch(sha):
            raise NoSuchObjectError("Not Found")
        head, _, data = self.run("cat-file", "--batch", stdin=f"{sha}\n".encode()).partition(b"\n")
        if head.split()[1:2] != [kind.encode()]:
            raise NoSuchObjectError("Not Found")
        return data[:-1]

    def commit(self, sha: str) -> Commit:
        """One parsed commit. Raises NoSuchObjectError."""
        head, _, message = self.object("commit", sha).decode(errors="replace").partition("\n\n")
        fields: dict[str, list[str]] = {}
        for line in head.splitlines():
            key, _, value = line.partition(" ")
            fields.setdefault(key, []).append(value)
        who = [_signature(fields[role][0]) for role in ("author", "committer")]
        return Commit(sha, fields["tree"][0], tuple(fields.get("parent", ())), who[0], who[1], message)

    def entries(self, tree: str, *, recursive: bool) -> list[Entry]:
        """A tree's lines; with `recursive` every level, sub-trees included. Raises NoSuchObjectError."""
        if self.kind(tree) not in {"tree", "commit"}:
            raise NoSuchObjectError("Not Found")
        flags = ["-r", "-t"] if recursive else []
        listing = self.run("ls-tree", "-z", "-l", "--full-tree", *flags, tree).decode(
            errors="surrogateescape"
        )
        return [_entry(line) for line in listing.split("\0") if line]

    def write_blob(self, data: bytes) -> str:
        """Store bytes; the blob's id."""
        return self.line("hash-object", "-w", "--stdin", stdin=data)

    def write_tree(
        self, base: str | None, changes: Mapping[str, tuple[str, str] | None], scratch: Path
    ) -> str:
        """The tree of `base` with path -> (mode, id) set, or removed where None; `scratch` holds the index."""
        index = {"GIT_INDEX_FILE": str(scratch)}
        try:
            self.run("read-tree", *([base] if base else ["--empty"]), env=index)
            lines = [
                f"0 {MISSING}\t{path}" if change is None else f"{change[0]} {change[1]}\t{path}"
                for path, change in changes.items()
            ]
            if lines:
                self.run(
                    "update-index", "-z", "--index-info", stdin="\0".join([*lines, ""]).encode(), env=index
                )
            return self.run("write-tree", env=index).decode().strip()
        finally:
            scratch.unlink(missing_ok=True)

    def write_commit(self, commit: Commit) -> str:
        """Store a commit exactly as given (its `sha` field is not read); its id."""
        lines = [f"tree {commit.tree}", *(f"parent {parent}" for parent in commit.parents)]
        for role, who in (("author", commit.author), ("committer", commit.committer)):
            lines.append(f"{role} {who.name} <{who.email}> {who.seconds} {who.offset}")
        text = "\n".join([*lines, "", commit.message]).encode()
        return self.line("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)

    def update_ref(self, name: str, new: str, old: str) -> None:
        """Move a reference only if it is at `old` (MISSING: only if absent). Raises GitFaultError."""
        self.run("update-ref", name, new, old)

    def delete_ref(self, name: str, old: str) -> None:
        """Remove a reference only if it is at `old`."""
        self.run("update-ref", "-d", name, old)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `older` is `newer` or an ancestor of it."""
        return self.line("rev-list", "--count", older, f"^{newer}") == "0"

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor, None for unrelated histories."""
        try:
            return self.line("merge-base", one, other)
        except GitFaultError:
            return None

    def history(
        self, tip: str, *, without: str | None = None, path: str | None = None, limit: int = 250
    ) -> list[str]:
        """Commit ids reachable from `tip` and not from `without`, oldest first, at most `limit` newest."""
        revisions = [tip, *([f"^{without}"] if without else [])]
        paths = ["--", path] if path else []
        return self.line("rev-list", "--reverse", f"--max-count={limit}", *revisions, *paths).split()

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """The tree of a clean three-way merge; None when it conflicts or this git is older than 2.38."""
        try:
            return self.line("merge-tree", "--write-tree", ours, theirs).splitlines()[0]
        except GitFaultError:
            return None


def _spellings(revision: str) -> tuple[str, ...]:
    return (revision, f"refs/{revision}", f"refs/heads/{revision}", f"refs/tags/{revision}")


def _signature(text: str) -> Signature:
    name, _, rest = text.partition(" <")
    email, _, when = rest.rpartition("> ")
    seconds, _, offset = when.partition(" ")
    return Signature(name, email, int(seconds), offset)


def _entry(line: str) -> Entry:
    meta, _, path = line.partition("\t")
    mode, kind, sha, size = meta.split()
    return Entry(mode, kind, sha, None if size == "-" else int(size), path)
