"""`python -m tools.sandbox --settings-fd N`: a rehearsal GitHub and a rehearsal cluster on loopback, in one process."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

gc.disable()  # nothing that an import makes is garbage

import uvicorn  # noqa: E402
from starlette.applications import Starlette  # noqa: E402

from policies import pins as pins_file  # noqa: E402
from tools import confine, settings  # noqa: E402
from tools.sandbox.cluster import app as cluster_app  # noqa: E402
from tools.sandbox.cluster import tls  # noqa: E402
from tools.sandbox.cluster.kubeconfig import kubeconfig  # noqa: E402
from tools.sandbox.cluster.settings import ClusterSettings  # noqa: E402
from tools.sandbox.github.actions.shims import Toolbox  # noqa: E402
from tools.sandbox.github.app import GitHub, build  # noqa: E402
from tools.sandbox.github.bare import GitFaultError  # noqa: E402
from tools.sandbox.github.hub import GitHubSettings  # noqa: E402
from tools.sandbox.settings import Ready, SandboxSettings  # noqa: E402

gc.freeze()
gc.enable()
LOOPBACK = "127.0.0.1"


class SandboxFaultError(Exception):
    """The sandbox cannot start; the message says what to change."""


def token_file(path: Path) -> str:
    """The token in a file that only its owner may read; made at the first start."""
    if not path.exists():
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def listen(port: int) -> socket.socket:
    """A bound loopback socket. Raises SandboxFaultError when the port is taken."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((LOOPBACK, port))
    except OSError as fault:
        server.close()
        raise SandboxFaultError(
            f"port {port} on {LOOPBACK} cannot be had ({fault.strerror}): choose another, or 0"
        ) from fault
    return server


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "w") as file:
        file.write(text)


@dataclass(frozen=True)
class Opened:
    """Both rehearsals, built and bound, not yet served."""

    github: GitHub
    servers: dict[_Server, socket.socket]
    ready: Ready


def open_both(told: SandboxSettings) -> Opened:
    """Bind the ports, open the state. Raises what `main` tells as a sentence."""
    state = told.state_dir
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    github_socket, cluster_socket = listen(told.github_port), listen(told.cluster_port)
    origin = f"http://{LOOPBACK}:{github_socket.getsockname()[1]}"
    url = f"https://{LOOPBACK}:{cluster_socket.getsockname()[1]}"
    github_token, cluster_token = state / "github.token", state / "cluster.token"
    github = _github(told, origin, token_file(github_token))
    bearer = token_file(cluster_token)
    images = pins_file.load(told.pins).image_table() if told.pins else {}
    asked = ClusterSettings(
        state_dir=state / "cluster", token_file=cluster_token, images=images, pod_delay=told.pod_delay
    )
    cluster = cluster_app.build(asked, github.repository)
    files = tls.certificate(asked.state_dir, cluster_app.utc_now())
    write_private(state / "kubeconfig", kubeconfig(url, bearer, files.authority.read_bytes()))
    ready = Ready(
        github_api=github.hub.api,
        repository=told.repository,
        clone_url=github.hub.clone_url,
        github_token_file=github_token,
        cluster_url=url,
        cluster_token_file=cluster_token,
        kubeconfig=state / "kubeconfig",
    )
    secured = _server(cluster, cluster_socket, key=files.key, certificate=files.certificate)
    return Opened(github, {_server(github.app, github_socket): github_socket, secured: cluster_socket}, ready)


async def serve(told: SandboxSettings) -> None:
    """Serve both until a signal asks to stop; the ready line is written when both answer."""
    opened = open_both(told)
    servers = list(opened.servers)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, servers)
    async with asyncio.TaskGroup() as group:
        for server, listening in opened.servers.items():
            group.create_task(server.serve(sockets=[listening]))
        while not all(s.started or s.should_exit for s in servers):  # noqa: ASYNC110 - uvicorn tells it by flags alone
            await asyncio.sleep(0.005)
        up = all(server.started for server in servers)
        if up:
            _say(told.ready_fd, opened.ready)
        else:
            _stop(servers)
    opened.github.close()
    if not up:
        raise SandboxFaultError("a server did not start: read the lines above")


def _github(told: SandboxSettings, origin: str, token: str) -> GitHub:
    owner, _, name = told.repository.partition("/")
    folder = told.state_dir / "github"
    return build(
        folder,
        origin,
        token,
        GitHubSettings(
            owner=owner, name=name, default_branch=told.default_branch, collaborators=told.reviewers
        ),
        Toolbox(folder / "tools", told.search_path, told.terraform, told.provider_mirror),
        step_seconds=told.step_seconds,
    )


def _server(
    app: Starlette, listening: socket.socket, *, key: Path | None = None, certificate: Path | None = None
) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            host=LOOPBACK,
            port=listening.getsockname()[1],
            log_level="warning",
            access_log=False,
            ssl_keyfile=key,
            ssl_certfile=certificate,
            timeout_graceful_shutdown=1,
            ws="none",
        )
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: one signal must stop both servers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: `serve` has its own."""
        yield


def _stop(servers: list[_Server]) -> None:
    for server in servers:
        server.should_exit = True


def _say(descriptor: int | None, ready: Ready) -> None:
    line = ready.model_dump_json() + "\n"
    if descriptor is None:
        sys.stdout.write(line)
        sys.stdout.flush()
        return
    with os.fdopen(descriptor, "w") as pipe:
        pipe.write(line)


def main() -> int:
    """Exit code 0 when asked to stop, 2 when the settings cannot be used."""
    told = settings.read(SandboxSettings)
    os.umask(0o077)
    if told.die_with_parent:
        confine.die_with_parent(os.getppid())
    confine.not_dumpable()
    try:
        asyncio.run(serve(told))
    except (
        SandboxFaultError,
        GitFaultError,
        OSError,
        pins_file.PinsFaultError,
        cluster_app.OpenTokenError,
    ) as fault:
        sys.stderr.write(f"sandbox: {fault}\n")
        return 2
    except sqlite3.DatabaseError as fault:
        words = f"what lies in {told.state_dir} cannot be read ({fault}): remove that folder to begin a new rehearsal"
        sys.stderr.write(f"sandbox: {words}\n")
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the runners' threads end with the process
