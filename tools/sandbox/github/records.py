"""What GitHub remembers besides git: pull requests, reviews, comments, runs, jobs, artifacts.

One SQLite file of JSON documents, parsed into frozen values on the way out. A restart finds it all again.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Literal, TypeVar

from policies.change import Word

RunStatus = Literal["queued", "in_progress", "completed"]
Conclusion = Literal["success", "failure", "cancelled", "skipped"]


class Record(Word):
    """A numbered document."""

    id: int


class Identity(Record):
    """What this rehearsal repository is called; made once."""

    repository_id: int
    created_at: str
    pushed_at: str


class Pull(Record):
    """A pull request; `id` is its number."""

    title: str
    body: str
    head: str
    base: str
    head_sha: str
    base_sha: str
    author: str
    state: Literal["open", "closed"] = "open"
    draft: bool = False
    created_at: str
    updated_at: str
    closed_at: str | None = None
    merged_at: str | None = None
    merge_commit: str | None = None
    reviewers: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


class Review(Record):
    """A submitted review; a dismissed one keeps its place."""

    pull: int
    author: str
    state: Literal["COMMENTED", "APPROVED", "CHANGES_REQUESTED", "DISMISSED"]
    body: str
    commit: str
    submitted_at: str


class Comment(Record):
    """A conversation comment on a pull request."""

    pull: int
    author: str
    body: str
    created_at: str


class Run(Record):
    """One workflow run."""

    workflow: str
    name: str
    title: str
    event: str
    head_branch: str
    head_sha: str
    commit: str
    ref: str
    inputs: dict[str, str]
    actor: str
    number: int
    pulls: tuple[int, ...] = ()
    status: RunStatus = "queued"
    conclusion: Conclusion | None = None
    created_at: str
    updated_at: str


class Step(Word):
    """One step of a job; a rehearsed one is `skipped` and has an annotation that says so."""

    number: int
    name: str
    status: RunStatus = "queued"
    conclusion: Conclusion | None = None
    started_at: str | None = None
    completed_at: str | None = None


class Annotation(Word):
    """A remark on a job, as GitHub's check runs carry them."""

    path: str
    line: int
    level: Literal["notice", "warning", "failure"]
    title: str
    message: str


class Job(Record):
    """One job of a run; `hollow` once a step was rehearsed whose product later steps would need."""

    run: int
    key: str
    name: str
    status: RunStatus = "queued"
    conclusion: Conclusion | None = None
    created_at: str
    started_at: str
    completed_at: str | None = None
    steps: tuple[Step, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    hollow: bool = False


class Artifact(Record):
    """An uploaded artifact; its zip lies in the state folder."""

    run: int
    name: str
    size: int
    digest: str
    created_at: str
    expires_at: str


R = TypeVar("R", bound=Record)


class Records:
    """Documents by kind and number, safe for the server's threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS document (kind TEXT, id INTEGER, body TEXT NOT NULL, PRIMARY KEY (kind, id))"
        )

    def next_id(self, kind: type[Record], *others: type[Record]) -> int:
        """One more than the highest number used by any of the kinds that share it."""
        names = [kind.__name__, *(other.__name__ for other in others)]
        marks = ",".join("?" * len(names))
        query = f"SELECT COALESCE(MAX(id), 0) + 1 FROM document WHERE kind IN ({marks})"  # noqa: S608 - only marks
        with self._lock:
            return int(self._database.execute(query, names).fetchone()[0])

    def put(self, record: R) -> R:
        """Write a document; the same kind and number replaces."""
        row = (type(record).__name__, record.id, record.model_dump_json())
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", row)
        return record

    def get(self, kind: type[R], number: int) -> R | None:
        """One document."""
        query = "SELECT body FROM document WHERE kind = ? AND id = ?"
        with self._lock:
            row = self._database.execute(query, (kind.__name__, number)).fetchone()
        return kind.model_validate_json(row[0]) if row else None

    def all(self, kind: type[R]) -> list[R]:
        """Every document of a kind, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT body FROM document WHERE kind = ? ORDER BY id", (kind.__name__,)
            ).fetchall()
        return [kind.model_validate_json(body) for (body,) in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()
