"""The rehearsal cluster: its objects on a clock that a test moves, or served over loopback as a process serves it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from policies.finding import ImageFacts
from tools.sandbox.cluster import tls
from tools.sandbox.cluster.app import build, controllers_of, utc_now
from tools.sandbox.cluster.cluster import Answer, Cluster, Options
from tools.sandbox.cluster.controllers import housekeeping
from tools.sandbox.cluster.kinds import BY_KIND
from tools.sandbox.cluster.kubeconfig import kubeconfig
from tools.sandbox.cluster.settings import ClusterSettings
from tools.sandbox.cluster.store import Store

Json = dict[str, Any]
TOKEN = "a-token-for-tests"
NGINX = "docker.io/library/nginx"
UNPRIVILEGED = "docker.io/nginxinc/nginx-unprivileged"
DIGEST = "sha256:" + "a" * 64
IMAGES = {
    NGINX: ImageFacts(repository=NGINX, digest=DIGEST, user=0),
    UNPRIVILEGED: ImageFacts(repository=UNPRIVILEGED, user=101),
}


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class World:
    """A cluster without HTTP. `settle` lets the controllers work until nothing is due any more."""

    def __init__(
        self, database: Path | str = ":memory:", repositories: Mapping[str, Path] | None = None
    ) -> None:
        self.clock = Clock()
        self.repositories = dict(repositories or {})
        self.cluster = Cluster(Store(database), self.clock)
        nowhere = Path("unused")
        settings = ClusterSettings(state_dir=nowhere, token_file=nowhere, images=IMAGES)
        housekeeping.seed(self.cluster, "argocd")
        self.loop = controllers_of(settings, self.repositories.get, self.cluster)
        self.settle()

    def settle(self, seconds: float = 1.0) -> None:
        """Move the clock that far, from one due step to the next, and let the controllers work."""
        end = self.clock.now + timedelta(seconds=seconds)
        while (due := self.loop.settle()) is not None and due <= end:
            self.clock.now = max(due, self.clock.now)
        self.clock.now = end
        self.loop.settle()

    def apply(
        self, manifest: Json, *, manager: str = "tester", force: bool = False, dry_run: bool = False
    ) -> Answer:
        """Server-side apply."""
        kind = BY_KIND[manifest["apiVersion"], manifest["kind"]]
        metadata = manifest["metadata"]
        options = Options(manager=manager, force=force, dry_run=dry_run)
        return self.cluster.patch(
            kind, metadata.get("namespace", ""), metadata["name"], "apply", manifest, options
        )

    def create(self, manifest: Json, **options: Any) -> Answer:
        """POST."""
        kind = BY_KIND[manifest["apiVersion"], manifest["kind"]]
        given = Options(**({"manager": "tester"} | options))
        return self.cluster.create(kind, manifest["metadata"].get("namespace", ""), manifest, given)

    def get(self, kind: str, name: str, namespace: str = "web") -> Json:
        """The live object."""
        found = next(row for (_, known), row in BY_KIND.items() if known == kind)
        return self.cluster.get(found, namespace if found.namespaced else "", name)

    def all(self, kind: str, namespace: str = "web") -> list[Json]:
        """The live objects of a kind."""
        found = next(row for (_, known), row in BY_KIND.items() if known == kind)
        return self.cluster.store.items(found, namespace if found.namespaced else "")

    def patch(
        self, kind: str, name: str, change: Json, *, manager: str = "tester", namespace: str = "web"
    ) -> Json:
        """A merge patch."""
        found = next(row for (_, known), row in BY_KIND.items() if known == kind)
        where = namespace if found.namespaced else ""
        return self.cluster.patch(found, where, name, "merge", change, Options(manager=manager)).manifest

    def delete(self, kind: str, name: str, namespace: str = "web") -> None:
        """DELETE, in the background."""
        found = next(row for (_, known), row in BY_KIND.items() if known == kind)
        self.cluster.delete(found, namespace if found.namespaced else "", name)

    def namespace(self, name: str = "web", **labels: str) -> None:
        """Make a namespace and let it get its service account."""
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        self.settle(0)

    def events(self, reason: str, namespace: str = "web") -> list[str]:
        """The messages of events with a reason, in their order."""
        return [event["message"] for event in self.all("Event", namespace) if event["reason"] == reason]


def deployment(
    name: str = "web", *, image: str = f"{UNPRIVILEGED}:1.29", replicas: int = 3, **pod: Any
) -> Json:
    """A Deployment in namespace web; `pod` is laid over its pod spec."""
    labels = {"app": name}
    container = {"name": "main", "image": image, "ports": [{"containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]} | pod},
        },
    }


class ServedCluster:
    """The application behind uvicorn, TLS and a free port, in a thread; ends with the block."""

    def __init__(
        self,
        state: Path,
        repositories: Mapping[str, Path] | None = None,
        wrap: Callable[[Any], Any] = lambda app: app,
    ) -> None:
        self.state, self.wrap = state, wrap
        self.repositories = dict(repositories or {})
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.token_file = state / "token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(TOKEN)

    def __enter__(self) -> Self:
        settings = ClusterSettings(state_dir=self.state, token_file=self.token_file, images=IMAGES)
        files = tls.certificate(self.state, utc_now())
        self.authority = files.authority
        config = uvicorn.Config(
            self.wrap(build(settings, self.repositories.get)),
            host="127.0.0.1",
            port=0,
            ws="none",
            lifespan="on",
            log_level="error",
            ssl_certfile=files.certificate,
            ssl_keyfile=files.key,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the rehearsal cluster did not start")
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"https://127.0.0.1:{port}"
        self.kubeconfig = self.state / "kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(kubeconfig(self.url, TOKEN, self.authority.read_bytes()))
        return self

    async def _serve(self) -> None:
        await self._server.serve()
        # A TLS connection says goodbye before it closes; the loop must still be there for it.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()


def bare_repository(folder: Path, files: Mapping[str, str], *, name: str = "shop") -> tuple[Path, str]:
    """A bare repository with one commit on main: (its path, the commit's SHA). Called again it adds a commit."""
    work, bare = folder / f"{name}-work", folder / f"{name}.git"
    if not bare.exists():
        _git(folder, "init", "-q", "--bare", "-b", "main", str(bare))
        _git(folder, "init", "-q", "-b", "main", str(work))
        _git(work, "remote", "add", "origin", str(bare))
    else:
        _git(work, "rm", "-rq", "--ignore-unmatch", ".")
    for path, text in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(text)
    _git(work, "add", "-A")
    _git(work, "commit", "-q", "--allow-empty", "-m", "manifests")
    _git(work, "push", "-q", "origin", "main")
    return bare, _git(work, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=tester", "-c", "user.email=tester@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def as_json(*manifests: Json) -> str:
    """Manifests as one YAML stream of JSON documents."""
    return "\n---\n".join(json.dumps(manifest) for manifest in manifests)
