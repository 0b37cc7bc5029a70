"""One request as an endpoint sees it, and how its answer becomes HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from policies.change import Word
from tools.sandbox.github.bare import GitFaultError, NoSuchObjectError
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.refusal import RefusalError, not_found

REPOSITORY = "/api/v3/repos/{owner}/{repo}"
T = TypeVar("T")
W = TypeVar("W", bound=Word)


@dataclass(frozen=True)
class Ask:
    """A parsed request: path and query parameters, the JSON body, the login behind the token."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    url: str
    actor: str

    def number(self, name: str) -> int:
        """A numeric path parameter; anything else is GitHub's 404."""
        try:
            return int(self.path[name])
        except ValueError:
            raise not_found() from None

    def parse(self, shape: type[W]) -> W:
        """The body in that shape; GitHub's 422 when it is not. Fields that GitHub knows and we do not are refused."""
        try:
            return shape.model_validate(self.body)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise RefusalError(422, "Invalid request.\n\n" + "\n".join(wrong)) from None


@dataclass(frozen=True)
class Answer:
    """A JSON body with a status and headers; a None body is empty."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] | None = None


Endpoint = Callable[[Hub, Ask], Any]


def route(hub: Hub, method: str, path: str, endpoint: Endpoint) -> Route:
    """A Starlette route: the endpoint runs in a worker thread, a changing one under the hub's lock."""

    async def serve(request: Request) -> Response:
        ask = Ask(
            path=request.path_params,
            query=dict(request.query_params),
            body=await _json(request),
            url=str(request.url.replace(query="")),
            actor=request.scope["state"]["actor"],
        )
        return await run_in_threadpool(_answer, hub, endpoint, ask, changing=method != "GET")

    return Route(f"{REPOSITORY}{path}" if not path.startswith("/api/") else path, serve, methods=[method])


def page(
    ask: Ask, items: Sequence[T], key: str | None = None, show: Callable[[T], Any] = lambda item: item
) -> Answer:
    """One page of a list as `show` has it, with GitHub's Link header; wrapped with a total count under `key`."""
    size = min(max(_int(ask.query.get("per_page"), 30), 1), 100)
    number = max(_int(ask.query.get("page"), 1), 1)
    part = [show(item) for item in items[(number - 1) * size : number * size]]
    headers = {}
    if number * size < len(items):
        query = urlencode({**ask.query, "per_page": size, "page": number + 1})
        headers["Link"] = f'<{ask.url}?{query}>; rel="next"'
    return Answer({"total_count": len(items), key: part} if key else part, headers=headers)


def _int(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _answer(hub: Hub, endpoint: Endpoint, ask: Ask, *, changing: bool) -> Response:
    if ask.path.get("owner", hub.settings.owner).lower() != hub.settings.owner.lower():
        raise not_found()
    if ask.path.get("repo", hub.settings.name).lower() != hub.settings.name.lower():
        raise not_found()
    try:
        if changing:
            with hub.lock:
                answer = endpoint(hub, ask)
        else:
            answer = endpoint(hub, ask)
    except NoSuchObjectError as missing:
        raise RefusalError(404, str(missing)) from missing
    except GitFaultError as fault:
        raise RefusalError(422, f"git: {fault}") from fault
    if isinstance(answer, Response):
        return answer
    if not isinstance(answer, Answer):
        answer = Answer(answer)
    if answer.body is None:
        return Response(status_code=answer.status, headers=answer.headers)
    return JSONResponse(answer.body, answer.status, headers=answer.headers)


async def _json(request: Request) -> Mapping[str, Any]:
    data = await request.body()
    if not data:
        return {}
    try:
        body = json.loads(data)
    except ValueError:
        raise RefusalError(400, "Problems parsing JSON") from None
    if not isinstance(body, dict):
        raise RefusalError(400, "Body should be a JSON object")
    return body
