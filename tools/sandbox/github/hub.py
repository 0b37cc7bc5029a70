"""What every endpoint of the rehearsal GitHub shares, and the one way a reference moves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from policies.change import Word
from tools.sandbox.github.bare import MISSING, BareRepository
from tools.sandbox.github.records import Identity, Pull, Records


class GitHubSettings(Word):
    """The rehearsal repository: what it is called and who may be asked there."""

    owner: str = "acme"
    name: str = "platform"
    default_branch: str = "main"
    login: str = "countersign"
    collaborators: tuple[str, ...] = ("security-reviewer", "platform-reviewer")
    teams: tuple[str, ...] = ("security", "platform")

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class Moved:
    """A reference that moved; MISSING stands for absent."""

    ref: str
    old: str
    new: str
    actor: str


@dataclass(frozen=True)
class Hub:
    """The repository, its records and its clock. `lock` is held by whoever changes anything."""

    settings: GitHubSettings
    origin: str
    state: Path
    git: BareRepository
    records: Records
    now: Callable[[], datetime]
    on_moved: list[Callable[[Moved], None]] = field(default_factory=list)
    on_opened: list[Callable[[Pull], None]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def api(self) -> str:
        """The REST root, as on GitHub Enterprise Server."""
        return f"{self.origin}/api/v3"

    @property
    def api_repo(self) -> str:
        """The REST address of the repository."""
        return f"{self.api}/repos/{self.settings.full_name}"

    @property
    def html_repo(self) -> str:
        """The address of the repository that a person would open."""
        return f"{self.origin}/{self.settings.full_name}"

    @property
    def clone_url(self) -> str:
        """Where git clones from."""
        return f"{self.html_repo}.git"

    def timestamp(self) -> str:
        """Now, in GitHub's form."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def identity(self) -> Identity:
        """The repository's numbers. Present from the first start."""
        identity = self.records.get(Identity, 1)
        if identity is None:
            raise LookupError(
                "the sandbox's state has no identity record: start it with an empty state folder"
            )
        return identity

    def moved(self, ref: str, old: str, new: str, actor: str) -> None:
        """Tell everyone that a reference moved, once it did."""
        identity = self.identity()
        self.records.put(identity.model_copy(update={"pushed_at": self.timestamp()}))
        for listener in self.on_moved:
            listener(Moved(ref, old, new, actor))

    def move(self, ref: str, old: str | None, new: str, actor: str) -> None:
        """Move a reference from `old` (None: absent) to `new`. Raises GitFaultError if it is not at `old`."""
        self.git.update_ref(ref, new, old or MISSING)
        self.moved(ref, old or MISSING, new, actor)

    def open_pulls(self) -> list[Pull]:
        """Pull requests that are open."""
        return [pull for pull in self.records.all(Pull) if pull.state == "open"]
