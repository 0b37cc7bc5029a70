"""One repository as the gate reads it: who it is, its git objects, its files. Writes are in the verbs."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

from policies.change import Content, RepositoryTarget
from tools.github.client import Client
from tools.github.shapes import Blob, Comparison, Entry, GitCommit, Ref, Repository, Tree
from tools.verbs import NotFoundError, TargetError

MOST_FILES = 2000
MOST_BYTES = 20 * 2**20
_MOST_TREES = 8
_FILE_MODES = frozenset({"100644", "100755"})
_ODD = {"120000": "a symbolic link", "160000": "a submodule"}


def blob_id(data: bytes) -> str:
    """The id that git gives these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class LiveRepository:
    """Reads of one repository. Objects with an id never change, so they are kept for a while; references are not."""

    def __init__(self, client: Client, full_name: str, base_branch: str) -> None:
        self.client = client
        self.full_name = full_name
        self.base_branch = base_branch
        self.path = f"/repos/{quote(full_name)}"
        self._trees: dict[str, Tree] = {}
        self._blobs: dict[str, bytes] = {}

    def about(self) -> Repository:
        """The repository's own words. Raises TargetError."""
        return self.client.one(Repository, self.path)

    def resolve(self) -> RepositoryTarget:
        """Which repository this is and where its base branch stands now. Raises TargetError."""
        about = self.about()
        base = self.tip(self.base_branch)
        if base is None:
            raise NotFoundError(
                f"{about.full_name} has no branch {self.base_branch}: push a first commit, or correct [github] base_branch"
            )
        return RepositoryTarget(
            host=self.client.host,
            repository_id=about.id,
            full_name=about.full_name,
            clone_url=about.clone_url,
            base_branch=self.base_branch,
            base_commit=base,
        )

    def tip(self, branch: str) -> str | None:
        """The commit at a branch, None when there is no such branch. Raises TargetError."""
        try:
            return self.client.one(Ref, f"{self.path}/git/ref/heads/{quote(branch)}").object.sha
        except NotFoundError:
            return None

    def commit(self, sha: str) -> GitCommit:
        """One commit. Raises TargetError."""
        return self.client.one(GitCommit, f"{self.path}/git/commits/{sha}")

    def entries(self, commit: str) -> dict[str, Entry]:
        """Path -> line of everything at that commit but folders. Raises TargetError when GitHub does not list all of it."""
        tree = self._trees.get(commit)
        if tree is None:
            root = self.commit(commit).tree.sha
            tree = self.client.one(Tree, f"{self.path}/git/trees/{root}", query={"recursive": "1"})
            if tree.truncated:
                raise TargetError(
                    f"{self.full_name} is too large for GitHub to list: keep infrastructure in a smaller repository"
                )
            while len(self._trees) >= _MOST_TREES:
                del self._trees[next(iter(self._trees))]
            self._trees[commit] = tree
        return {entry.path: entry for entry in tree.tree if entry.type != "tree"}

    def tree(self, commit: str) -> Content:
        """Path -> bytes of every regular file at that commit. Raises TargetError when a file is not regular or all is too much."""
        entries = self.entries(commit)
        for entry in entries.values():
            self._refuse_odd(entry)
        size = sum(entry.size for entry in entries.values())
        if len(entries) > MOST_FILES or size > MOST_BYTES:
            raise TargetError(
                f"{self.full_name} has {len(entries)} files of {size} bytes, more than {MOST_FILES} files or {MOST_BYTES} bytes "
                "can be judged: keep infrastructure in a smaller repository"
            )
        return {path: self._blob(entry) for path, entry in entries.items()}

    def paths(self, commit: str) -> tuple[str, ...]:
        """Every file's path at that commit, sorted. Raises TargetError."""
        return tuple(sorted(self.entries(commit)))

    def file(self, path: str, commit: str, most: int) -> bytes:
        """One regular file of at most `most` bytes. Raises TargetError."""
        entry = self.entries(commit).get(path)
        if entry is None:
            raise NotFoundError(
                f"{path} is not in {self.full_name} at {commit[:12]}: list_repository_files names what is"
            )
        self._refuse_odd(entry)
        if entry.size > most:
            raise TargetError(f"{path} has {entry.size} bytes, more than {most} are not read")
        return self._blob(entry)

    def compare(self, base: str, head: str) -> Comparison:
        """The way from `base` to `head`, each a commit or a branch. Raises TargetError."""
        return self.client.one(Comparison, f"{self.path}/compare/{quote(base)}...{quote(head)}")

    @staticmethod
    def _refuse_odd(entry: Entry) -> None:
        if entry.mode not in _FILE_MODES or entry.type != "blob":
            what = _ODD.get(entry.mode, f"of mode {entry.mode}")
            raise TargetError(
                f"{entry.path} is {what}: only regular files are read and judged; take it out of the repository"
            )

    def _blob(self, entry: Entry) -> bytes:
        kept = self._blobs.get(entry.sha)
        if kept is not None:
            return kept
        answer = self.client.one(Blob, f"{self.path}/git/blobs/{entry.sha}")
        try:
            data = base64.b64decode(answer.content)
        except ValueError as fault:
            raise TargetError(
                f"{self.client.host} sent {entry.path} in a form that is no Base64: try again"
            ) from fault
        if answer.encoding != "base64" or blob_id(data) != entry.sha:
            raise TargetError(
                f"{self.client.host} sent other bytes for {entry.path} than git's id says: do not trust this server"
            )
        if sum(map(len, self._blobs.values())) + len(data) > MOST_BYTES:
            self._blobs.clear()
        self._blobs[entry.sha] = data
        return data
