"""The rehearsal GitHub on a free loopback port, in a thread of the test process."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from policies.change import Destination, digest_of
from tools.github.target import GitHubTarget, open_target
from tools.sandbox.github.actions.shims import Toolbox
from tools.sandbox.github.app import GitHub, build
from tools.sandbox.github.hub import GitHubSettings as Rehearsed
from tools.settings import GitHubSettings
from tools.verbs import Call

TOKEN = "rehearsal-test-token"
SEARCH = "/usr/local/bin:/usr/bin:/bin"
SIGNED_AT = "2026-11-23T09:00:00Z"


@dataclass(frozen=True)
class Served:
    """A running rehearsal GitHub and how to reach it."""

    github: GitHub
    settings: GitHubSettings

    @property
    def target(self) -> GitHubTarget:
        return open_target(self.settings)

    def ask(self, method: str, path: str, body: Any = None, token: str | None = TOKEN) -> tuple[int, Any]:
        """One raw API call below the repository (or from the root, with //)."""
        address = (
            f"{self.github.hub.origin}{path[1:]}"
            if path.startswith("//")
            else f"{self.github.hub.api_repo}{path}"
        )
        request = urllib.request.Request(
            address, method=method, data=None if body is None else json.dumps(body).encode()
        )
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                data = answer.read()
                return answer.status, json.loads(
                    data
                ) if data and answer.headers.get_content_type() == "application/json" else data
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read())

    def person(self, login: str) -> str:
        """The token of a collaborator."""
        return (self.github.hub.state / "people" / f"{login}.token").read_text().strip()

    def review(self, login: str, number: int, event: str = "APPROVE", **more: Any) -> int:
        """A review by that person; its id."""
        status, body = self.ask(
            "POST",
            f"/pulls/{number}/reviews",
            {"event": event, "body": "x", **more},
            token=self.person(login),
        )
        assert status == 200, body
        return int(body["id"])

    def tip(self, branch: str = "main") -> str:
        found = self.github.hub.git.tip(branch)
        assert found is not None
        return found

    def commit(self, files: Mapping[str, str | None], branch: str = "main", message: str = "a commit") -> str:
        """Put files on a branch straight in git, as a push by somebody else would."""
        hub = self.github.hub
        changes = {
            p: None if t is None else ("100644", hub.git.write_blob(t.encode())) for p, t in files.items()
        }
        old = hub.git.tip(branch)
        base = hub.git.commit(old or self.tip())
        tree = hub.git.write_tree(base.tree, changes, hub.state / "index-test")
        made = hub.git.write_commit(type(base)("", tree, (base.sha,), base.author, base.committer, message))
        with hub.lock:
            hub.move(f"refs/heads/{branch}", old, made, "somebody")
        return made

    def settled(self, run: int, seconds: float = 60.0) -> Any:
        """The run, once it has completed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.ask("GET", f"/actions/runs/{run}")[1]
            if found["status"] == "completed":
                return found
            threading.Event().wait(0.02)
        raise AssertionError(f"run {run} did not end")

    def steps(self, run: int) -> dict[str, str]:
        jobs = self.ask("GET", f"/actions/runs/{run}/jobs")[1]["jobs"]
        return {step["name"]: step["conclusion"] for job in jobs for step in job["steps"]}

    def log(self, run: int) -> str:
        folder = self.github.hub.state / "logs" / str(run)
        return "\n".join(path.read_text() for path in sorted(folder.rglob("*.txt")))


@contextmanager
def served(
    state: Path,
    *,
    terraform: Path | None = None,
    mirror: Path | None = None,
    wrap: Callable[[Any], Any] = lambda app: app,
    settings: Rehearsed | None = None,
    search: str = SEARCH,
) -> Iterator[Served]:
    """Serve `state` until the block ends."""
    state.mkdir(parents=True, exist_ok=True)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    told = settings or Rehearsed(collaborators=("platform-lead", "security-lead"))
    github = build(state / "github", origin, TOKEN, told, Toolbox(state / "tools", search, terraform, mirror))
    config = uvicorn.Config(
        wrap(github.app), log_level="warning", access_log=False, timeout_graceful_shutdown=1, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    file = state / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    try:
        yield Served(
            github, GitHubSettings(api_url=f"{origin}/api/v3", repository=told.full_name, token_file=file)
        )
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        github.close()


def call(
    served_: Served,
    verb: str,
    arguments: Mapping[str, Any],
    content: Mapping[str, str] | None = None,
    change: str = "cs-0123456789abcdef",
) -> Call:
    """A permitted call, as the gate would hand it to a verb."""
    held = {digest_of(text.encode()): text.encode() for text in (content or {}).values()}
    return Call(
        change_id=change,
        verb=verb,
        destination=Destination(repository=served_.target.resolve()),
        arguments=dict(arguments),
        effect_key="test",
        content=held,
    )


def push_arguments(
    base: str,
    files: Mapping[str, str | None],
    branch: str = "countersign/cs-0123456789abcdef",
    operation: str = "add",
) -> dict[str, Any]:
    """The arguments of github.push_commit for these files; None deletes."""
    return {
        "branch": branch,
        "base_commit": base,
        "message": "Add files\n\nCountersign-Change: cs-0123456789abcdef\n",
        "author": {"name": "Countersign", "email": "countersign@users.noreply.github.com"},
        "date": SIGNED_AT,
        "files": [
            {"path": path, "operation": "delete", "mode": "100644", "file": None}
            if text is None
            else {
                "path": path,
                "operation": operation,
                "mode": "100644",
                "file": {"path": path, "digest": digest_of(text.encode())},
            }
            for path, text in sorted(files.items())
        ],
    }


def git(*arguments: str, cwd: Path) -> str:
    """The machine's git, as a person would use it, without their configuration."""
    env = {"PATH": SEARCH, "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", "-c", "user.name=A Person", "-c", "user.email=person@example.com", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
