"""The one door to PyGithub: a connection by token file, and every fault of it as a TargetError that says what to do."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from github import Auth, Github, GithubException
from github.Repository import Repository as Vendor

from tools.settings import GitHubSettings
from tools.verbs import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    TargetError,
    UnauthorizedError,
    UnreachableError,
)

DEADLINE = 15
T = TypeVar("T")


def token(path: Path) -> str:
    """The token of a file that only its owner may read. Raises UnauthorizedError."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise UnauthorizedError(f"there is no readable GitHub token at {path}: put one there, mode 0600, or run `countersign init`") from None
    if stat.S_IMODE(mode) & 0o077:
        raise UnauthorizedError(f"the GitHub token {path} can be read by others: `chmod 600` it, and replace it if somebody may have")
    if not text or any(c.isspace() for c in text):
        raise UnauthorizedError(f"{path} holds no GitHub token: one line is expected")
    return text


class Client:
    """A repository behind PyGithub. No retries here: what a lost answer did is found out by reading."""

    def __init__(self, settings: GitHubSettings) -> None:
        self._settings = settings
        self._github = Github(
            auth=Auth.Token(token(settings.token_file)),
            base_url=settings.api_url,
            timeout=DEADLINE,
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
            per_page=100,
            user_agent="countersign",
        )
        self.host = urlsplit(settings.api_url).netloc
        self.full_name = settings.repository
        self.base_branch = settings.base_branch
        self._repository: Vendor | None = None

    def repository(self) -> Vendor:
        """PyGithub's repository, fetched once. Raises TargetError."""
        if self._repository is None:
            with self.faults(f"repository {self.full_name}"):
                self._repository = self._github.get_repo(self.full_name)
        return self._repository

    def json(self, path: str, query: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - GitHub's JSON
        """GET below the repository's address. Raises TargetError."""
        with self.faults(path):
            _, data = self.repository().requester.requestJsonAndCheck("GET", f"{self.repository().url}{path}", parameters=dict(query or {}))
        return data

    def download(self, path: str, limit: int) -> bytes:
        """GET bytes that GitHub answers with a redirect to a store. Raises TargetError when larger than `limit`."""
        with self.faults(path):
            auth = {"Authorization": f"Bearer {token(self._settings.token_file)}"}
            first = requests.get(f"{self.repository().url}{path}", headers=auth, timeout=DEADLINE, allow_redirects=False)
            if first.status_code in {301, 302, 307}:  # the store signs its own address and must not see the token
                first = requests.get(first.headers["Location"], timeout=DEADLINE, stream=True)
            if first.status_code >= 400:
                raise refusal(first.status_code, first.text, first.headers, path)
            data = first.raw.read(limit + 1, decode_content=True) if not first._content_consumed else first.content  # type: ignore[attr-defined]  # noqa: SLF001
        if len(data) > limit:
            raise TargetError(f"{path} is larger than {limit} bytes")
        return bytes(data)

    def call(self, what: str, work: Callable[[Vendor], T]) -> T:
        """Do something with PyGithub's repository. Raises TargetError."""
        repository = self.repository()
        with self.faults(what):
            return work(repository)

    @contextmanager
    def faults(self, what: str) -> Iterator[None]:
        """Turn every fault of the vendor into a TargetError. The token is in none of them."""
        try:
            yield
        except GithubException as fault:
            raise refusal(fault.status, fault.data, fault.headers or {}, what) from None
        except (requests.RequestException, TimeoutError) as fault:
            raise UnreachableError(f"{self.host} did not answer about {what} ({type(fault).__name__}): its state is read before anything is done again") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as fault:
            raise UnreachableError(f"{self.host} answered something about {what} that is not JSON") from fault


def refusal(status: int, data: object, headers: Mapping[str, Any], what: str) -> TargetError:
    """GitHub's no, as one of ours."""
    said = _said(data)
    lower = {str(key).lower(): str(value) for key, value in headers.items()}
    if status == 429 or (status == 403 and (lower.get("x-ratelimit-remaining") == "0" or "retry-after" in lower or "rate limit" in said.lower())):
        wait = lower.get("retry-after")
        seconds = float(wait) if wait and wait.isdigit() else None
        when = f" in {seconds:.0f} seconds" if seconds is not None else " later"
        return RateLimitedError(f"GitHub asks for patience about {what}: go on with --resume{when}", seconds)
    if status == 401:
        return UnauthorizedError("GitHub does not accept the token (401): replace the token file that the gate reads")
    if status == 403:
        return ForbiddenError(f"the token may not do this to {what} (403: {said}): give it the permission, or another token")
    if status in {404, 410}:
        return NotFoundError(f"{what} is not there, or this token cannot see it ({status})")
    if status in {405, 409, 422}:
        return ConflictError(f"GitHub refuses {what} ({status}: {said})")
    if status >= 500 or status < 100:
        return UnreachableError(f"GitHub failed about {what} ({status}): its state is read before anything is done again")
    return TargetError(f"GitHub answered {status} about {what}: {said}")


def _said(data: object) -> str:
    """GitHub's own words, short."""
    if isinstance(data, dict):
        errors = data.get("errors") or []
        details = [str(e.get("message") or e.get("code") or e) if isinstance(e, dict) else str(e) for e in errors] if isinstance(errors, list) else []
        return "; ".join([str(data.get("message", "")), *details])[:300]
    return str(data)[:300]
