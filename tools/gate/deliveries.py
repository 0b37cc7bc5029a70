"""GitHub's webhook deliveries: whether one is genuine, fresh and new. One that is counts as a hint, never as a fact.

GitHub signs the body alone. So a repeated body is a replay whatever its headers say, and how old it is can only be told from
the moments in it that GitHub itself sets; a commit's own date is the author's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tools.gate.approval import hint_file

EVENTS = frozenset({"pull_request_review", "pull_request", "push", "workflow_run"})
BODY_LIMIT = 5 * 2**20
OLDEST = timedelta(minutes=15)
AHEAD = timedelta(minutes=5)
MOST_KEPT = 20_000
"""Deliveries remembered at once; more within two windows are turned away rather than forgotten."""
_ID = re.compile(r"[0-9a-zA-Z-]{8,64}")
_MOMENTS = (
    ("pull_request", "updated_at"), ("review", "submitted_at"), ("review", "updated_at"), ("workflow_run", "updated_at"),
    ("repository", "pushed_at"), ("repository", "updated_at"),
)  # fmt: skip


class DeliveryRefusedError(Exception):
    """A delivery that counts for nothing: an HTTP status, a stable name and why."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message


class SecretFaultError(Exception):
    """The webhook's secret cannot be used; the message says what to mend."""


def secret_of(path: Path) -> bytes:
    """The secret in a file that only its owner may read; made at the first start. Raises SecretFaultError."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        mode, found = path.stat().st_mode, path.read_bytes().strip()
    except OSError as fault:
        raise SecretFaultError(
            f"{path} cannot be read or made ({fault.strerror}): put the webhook's secret there"
        ) from fault
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise SecretFaultError(
            f"{path} can be read by others than its owner: chmod 600 it, and renew the secret"
        )
    if len(found) < 16:
        raise SecretFaultError(f"{path} holds {len(found)} bytes: a secret has 16 or more")
    return found


class Deliveries:
    """What came in at one repository's webhook. Safe for threads; the memory of it outlives the process."""

    def __init__(self, state_dir: Path, secret: bytes, full_name: str, clock: Callable[[], datetime]) -> None:
        self._state_dir, self._secret, self._clock = state_dir, secret, clock
        self._full_name, self._lock = full_name, threading.Lock()
        self._db = sqlite3.connect(
            state_dir / "webhooks.sqlite3", isolation_level=None, check_same_thread=False, timeout=30
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, signature TEXT NOT NULL UNIQUE, at REAL NOT NULL) STRICT"
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the delivery was a hint, which is then given; False for an event or a repository that is not ours.

        `headers` have lower-case names. Raises DeliveryRefusedError for what is not genuine, not fresh or not new.
        """
        signature = self._verified(headers.get("x-hub-signature-256", ""), body)
        event, identity = headers.get("x-github-event", ""), headers.get("x-github-delivery", "")
        if event not in EVENTS:
            return False
        if not _ID.fullmatch(identity):
            raise DeliveryRefusedError(400, "no-delivery-id", "X-GitHub-Delivery is missing or malformed")
        told = _object(body)
        self._fresh(told)
        self._remember(identity, signature)
        if _part(told, "repository").get("full_name", "").lower() != self._full_name.lower():
            return False
        hint = hint_file(self._state_dir, self._full_name)
        hint.parent.mkdir(mode=0o700, exist_ok=True)
        hint.touch(mode=0o600)
        return True

    def _verified(self, given: str, body: bytes) -> str:
        wanted = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            raise DeliveryRefusedError(
                401, "bad-signature", "X-Hub-Signature-256 is not this webhook's signature"
            )
        return wanted

    def _fresh(self, told: Mapping[str, Any]) -> None:
        last, now = max(_moments(told), default=None), self._clock()
        if last is None or not now - OLDEST <= last <= now + AHEAD:
            said = f"it is of {last:%Y-%m-%dT%H:%M:%SZ}" if last else "it does not say of when it is"
            raise DeliveryRefusedError(409, "old-delivery", f"{said}, and it is {now:%Y-%m-%dT%H:%M:%SZ}")

    def _remember(self, identity: str, signature: str) -> None:
        now = self._clock().timestamp()
        # what is forgotten is older than any delivery that would still be taken for fresh
        forgotten = now - 2 * (OLDEST + AHEAD).total_seconds()
        with self._lock:
            self._db.execute("DELETE FROM seen WHERE at < ?", (forgotten,))
            if self._db.execute("SELECT count(*) FROM seen").fetchone()[0] >= MOST_KEPT:
                raise DeliveryRefusedError(
                    429, "too-many-deliveries", "more deliveries than can be remembered"
                )
            try:
                self._db.execute("INSERT INTO seen VALUES (?, ?, ?)", (identity, signature, now))
            except sqlite3.IntegrityError:
                raise DeliveryRefusedError(
                    409, "replayed-delivery", "this delivery was here before"
                ) from None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise DeliveryRefusedError(400, "no-json-object", "the body is no JSON object")
    return told


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _moments(told: Mapping[str, Any]) -> Iterator[datetime]:
    """Whatever moments GitHub set in the body: RFC 3339, or seconds since 1970 in a push."""
    for part, name in _MOMENTS:
        value = _part(told, part).get(name)
        try:
            if isinstance(value, str):
                moment = datetime.fromisoformat(value)
                yield moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            elif isinstance(value, int) and not isinstance(value, bool):
                yield datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            continue
