"""The rehearsal GitHub as one Starlette application.

    build(state: Path, origin: str, token: str, settings, toolbox, now) -> GitHub

Its REST API lies under `/api/v3` as on GitHub Enterprise Server, git under `/OWNER/NAME.git`. Everything it knows is
in `state`; a second `build` on the same folder finds it again.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tools.sandbox.github import contents, git_data, pulls, smart_http
from tools.sandbox.github.actions import endpoints
from tools.sandbox.github.actions.runner import Runner
from tools.sandbox.github.actions.shims import Toolbox
from tools.sandbox.github.bare import BareRepository, Commit, Signature
from tools.sandbox.github.hub import GitHubSettings, Hub
from tools.sandbox.github.records import Identity, Records
from tools.sandbox.github.refusal import RefusalError, answer_refusal, not_found

PEOPLE = "people"
_SEED = Signature("Acme Platform", "platform@acme.example", 1767225600, "+0000")
_README = """# {full_name}

A rehearsal repository of the Countersign sandbox. Nothing here reaches a real GitHub.
"""


def utc_now() -> datetime:
    """The clock of a served sandbox."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class GitHub:
    """The application, what it shares, and its runners."""

    app: Starlette
    hub: Hub
    runner: Runner

    def close(self) -> None:
        """Stop the runners, close the records."""
        self.runner.close()
        self.hub.records.close()

    def repository(self, url: str) -> Path | None:
        """The bare repository behind a clone URL of ours; None for any other."""
        here = self.hub.clone_url.removesuffix(".git")
        return self.hub.git.path if url.rstrip("/").removesuffix(".git") == here else None


def build(
    state: Path,
    origin: str,
    token: str,
    settings: GitHubSettings,
    toolbox: Toolbox,
    now: Callable[[], datetime] = utc_now,
    *,
    step_seconds: float = 600.0,
) -> GitHub:
    """Open or make the repository and its records in `state` (0700), and serve them at `origin`."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    git = BareRepository.at(state / "repository.git", toolbox.search_path)
    hub = Hub(settings, origin, state, git, Records(state / "github.sqlite"), now)
    _seed(hub)
    runner = Runner(hub, toolbox, step_seconds)
    hub.on_moved.extend([lambda moved: pulls.follow(hub, moved), runner.on_moved])
    hub.on_opened.append(runner.on_opened)

    tokens = {settings.login: token, **_people(state / PEOPLE, settings.collaborators)}

    def login(request: Request) -> str | None:
        header = request.headers.get("authorization", "")
        return next((who for who, theirs in tokens.items() if _bears(header, theirs)), None)

    routes = [
        *git_data.routes(hub),
        *pulls.routes(hub),
        *endpoints.routes(hub, runner, endpoints.Downloads(hub)),
        *contents.routes(hub),
        *smart_http.routes(hub, login),
        Route("/{path:path}", _nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Authenticated, login=login)],
        exception_handlers={RefusalError: answer_refusal},
    )
    return GitHub(app, hub, runner)


class _Authenticated:
    """Nobody asks the API without the token; clones and stored files go by their own rules."""

    def __init__(self, app: ASGIApp, login: Callable[[Request], str | None]) -> None:
        self._app = app
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            request = Request(scope)
            actor = self._login(request)
            if actor is None:
                words = "Bad credentials" if "authorization" in request.headers else "Requires authentication"
                await RefusalError(401, words).response()(scope, receive, send)
                return
            scope.setdefault("state", {})["actor"] = actor
        await self._app(scope, receive, send)


def _bears(header: str, token: str) -> bool:
    """Whether an Authorization header carries the token: Bearer or token for the API, Basic for git."""
    kind, _, value = header.partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() not in {"bearer", "token"}:
        return False
    return hmac.compare_digest(value.strip().encode(), token.encode())


def _people(folder: Path, logins: Iterable[str]) -> dict[str, str]:
    """Login -> token of each collaborator, so that a person can review as one of them: `people/LOGIN.token`, 0600."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = {}
    for login in logins:
        path = folder / f"{login}.token"
        if not path.exists():
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        found[login] = path.read_text().strip()
    return found


def _nothing(_request: Request) -> Any:  # noqa: ANN401 - it never answers
    raise not_found()


def _seed(hub: Hub) -> None:
    """The first commit, the same in every sandbox, and the numbers that tell this sandbox from another."""
    if hub.records.get(Identity, 1) is None:
        now = hub.timestamp()
        number = 10**8 + secrets.randbelow(9 * 10**8)
        hub.records.put(Identity(id=1, repository_id=number, created_at=now, pushed_at=now))
    branch = f"refs/heads/{hub.settings.default_branch}"
    if branch not in hub.git.refs():
        blob = hub.git.write_blob(_README.format(full_name=hub.settings.full_name).encode())
        tree = hub.git.write_tree(None, {"README.md": ("100644", blob)}, hub.state / "index-seed")
        commit = hub.git.write_commit(Commit("", tree, (), _SEED, _SEED, "Begin the rehearsal\n"))
        hub.git.update_ref(branch, commit, "0" * 40)
        hub.git.run("symbolic-ref", "HEAD", branch)
