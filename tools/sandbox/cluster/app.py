"""The rehearsal cluster as one ASGI application.

    build(settings: ClusterSettings, repositories: Callable[[str], Path | None], clock=utc_now) -> Starlette

`repositories` finds the bare git repository behind an Application's repoURL, or None. The application runs its
controllers between ASGI start-up and shutdown, so it needs `lifespan="on"`. Serve it over TLS with one worker:

    files = tls.certificate(settings.state_dir, utc_now())
    uvicorn.Config(build(settings, find), ssl_certfile=files.certificate, ssl_keyfile=files.key, lifespan="on",
                   timeout_graceful_shutdown=1)                       # watches stay open until then
    text = kubeconfig.kubeconfig("https://127.0.0.1:PORT", token, files.authority.read_bytes())   # write it 0600
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tools.sandbox.cluster import errors
from tools.sandbox.cluster.argocd.controller import APPLICATION, ArgoCd
from tools.sandbox.cluster.argocd.source import Repositories
from tools.sandbox.cluster.cluster import Clock, Cluster
from tools.sandbox.cluster.controllers import budgets, deployments, endpoints, housekeeping
from tools.sandbox.cluster.controllers.common import POD, PerObject
from tools.sandbox.cluster.controllers.replicasets import ReplicaSets
from tools.sandbox.cluster.controllers.sets import DAEMON_SET, JOB, STATEFUL_SET, Sets
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.http import discovery
from tools.sandbox.cluster.http.endpoints import answer
from tools.sandbox.cluster.kubelet import Kubelet
from tools.sandbox.cluster.loop import Loop
from tools.sandbox.cluster.settings import ClusterSettings
from tools.sandbox.cluster.store import Store

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def utc_now() -> datetime:
    """The clock of a served cluster."""
    return datetime.now(UTC)


class OpenTokenError(Exception):
    """The token file may be read by others, or holds no token."""


def read_token(path: Path) -> str:
    """The bearer token. Raises OpenTokenError for a file that group or others may read, OSError if it is missing."""
    if path.stat().st_mode & 0o077:
        raise OpenTokenError(f"{path} may be read by others: chmod 600 it, or make a new token")
    token = path.read_text().strip()
    if not token:
        raise OpenTokenError(f"{path} holds no token: write one line with a random value into it")
    return token


def controllers_of(settings: ClusterSettings, repositories: Repositories, cluster: Cluster) -> Loop:
    """All controllers over one cluster."""
    kubelet = Kubelet(settings.images, timedelta(seconds=settings.pod_delay))
    sets = Sets()
    return Loop(
        cluster,
        [
            PerObject(APPLICATION, ArgoCd(settings, repositories).step, "argocd-application-controller"),
            housekeeping.reconcile_namespaces,
            PerObject(deployments.DEPLOYMENT, deployments.step, deployments.COMPONENT),
            PerObject(deployments.REPLICA_SET, ReplicaSets().step, "replicaset-controller"),
            PerObject(STATEFUL_SET, sets.stateful, "statefulset-controller"),
            PerObject(DAEMON_SET, sets.daemon, "daemonset-controller"),
            PerObject(JOB, sets.job, "job-controller"),
            PerObject(POD, kubelet.step, "kubelet"),
            PerObject(endpoints.SERVICE, endpoints.step, "endpoint-controller"),
            PerObject(budgets.BUDGET, budgets.budget_step, "controllermanager"),
            PerObject(budgets.AUTOSCALER, budgets.autoscaler_step, "horizontal-pod-autoscaler"),
            housekeeping.collect_garbage,
            housekeeping.forget_events,
        ],
    )


def build(
    settings: ClusterSettings, repositories: Callable[[str], Path | None], clock: Clock = utc_now
) -> Starlette:
    """The application. Opens (or makes) `state_dir/cluster.sqlite`. Raises OSError, OpenTokenError, sqlite3.Error."""
    token = read_token(settings.token_file)
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster = Cluster(Store(settings.state_dir / "cluster.sqlite"), clock)
    housekeeping.seed(cluster, settings.argocd_namespace)
    loop = controllers_of(settings, repositories, cluster)
    loop.settle()

    running: list[asyncio.Task[None]] = []

    def alive() -> None:
        """Raises ApiError 500 once the controllers have ended by a fault: a cluster without them only looks healthy."""
        fault = next((t.exception() for t in running if t.done() and not t.cancelled()), None)
        if fault is not None:
            text = f"the rehearsal's controllers ended: {type(fault).__name__}: {fault}"
            raise ApiError(500, "InternalError", text, {})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running.append(asyncio.create_task(loop.run()))
        yield
        running[0].cancel()
        await asyncio.wait(running)
        cluster.store.close()

    app = Starlette(
        routes=_routes(cluster, token, alive), lifespan=lifespan, exception_handlers={ApiError: _refused}
    )
    app.state.cluster = cluster
    return app


async def _refused(_: Request, fault: Exception) -> Response:
    if not isinstance(fault, ApiError):
        raise fault
    if fault.plain:
        return PlainTextResponse(fault.message, fault.code)
    return JSONResponse(fault.status(), fault.code)


def _routes(cluster: Cluster, token: str, alive: Callable[[], None]) -> list[Route]:
    def known(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise errors.unauthorized()

    async def health(_: Request) -> Response:
        alive()
        return PlainTextResponse("ok")

    async def version(_: Request) -> Response:
        return JSONResponse(discovery.version())

    async def everything(request: Request) -> Response:
        known(request)
        alive()
        found = describe(request.url.path, request.headers.get("accept", ""))
        return found if found is not None else await answer(cluster, request)

    public = [Route(path, health) for path in ("/healthz", "/livez", "/readyz")]
    return [*public, Route("/version", version), Route("/{path:path}", everything, methods=_METHODS)]


def describe(path: str, accept: str) -> Response | None:
    """Discovery and OpenAPI; None for any other path. Raises ApiError 404 for a group that is not served."""
    parts = tuple(part for part in path.split("/") if part)
    if parts in {("api",), ("apis",)} and "as=APIGroupDiscoveryList" in accept and "v=v2;" in accept + ";":
        return JSONResponse(discovery.aggregated(core=parts == ("api",)), media_type=discovery.AGGREGATED)
    if parts in _DOCUMENTS:
        return JSONResponse(_DOCUMENTS[parts]())
    match parts:
        case ("apis", group) if group in discovery.groups():
            return JSONResponse({"kind": "APIGroup", "apiVersion": "v1"} | discovery.group(group))
        case ("apis", group, served) if served in discovery.versions_of(group):
            return JSONResponse(discovery.resource_list(group, served))
        case ("openapi", "v3", "apis", group, served) if served in discovery.versions_of(group):
            return JSONResponse(discovery.openapi(group, served))
        case ("apis" | "openapi", *_) if len(parts) < 4:
            raise errors.no_such_group()
    return None


_DOCUMENTS: Mapping[tuple[str, ...], Callable[[], dict[str, Any]]] = {
    ("api",): discovery.core_versions,
    ("apis",): discovery.group_list,
    ("api", "v1"): lambda: discovery.resource_list("", "v1"),
    ("openapi", "v3"): discovery.openapi_index,
    ("openapi", "v3", "api", "v1"): lambda: discovery.openapi("", "v1"),
}
