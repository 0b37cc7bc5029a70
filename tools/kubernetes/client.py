"""The one door to the vendor's Kubernetes client: one HTTP call at a time, each with a deadline, every failure a TargetError.

The vendor gives configuration, credentials (kubeconfig, exec plugins, in-cluster tokens) and TLS; nothing is retried.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml
from kubernetes import client as vendor
from kubernetes import config as vendor_config

from tools.settings import KubernetesSettings
from tools.verbs import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    TargetError,
    UnauthorizedError,
    UnreachableError,
    unhindered,
)

Json = dict[str, Any]
DEADLINE = 20.0
_MOST_BYTES = 64 * 2**20
_CHUNK = 2**16
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class FieldConflictError(ConflictError):
    """409 of server-side apply: another manager holds `field`, such as `.spec.replicas`."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def connect(
    settings: KubernetesSettings,
    *,
    deadline: float = DEADLINE,
    before_write: Callable[[], None] = unhindered,
) -> Client:
    """A client for the cluster that the settings mean. Raises TargetError when they cannot be used.

    `before_write` is called before each request that would change something, and may raise.
    """
    configuration = vendor.Configuration()
    try:
        if settings.in_cluster:
            load: Callable[..., None] = vendor_config.load_incluster_config
            load(client_configuration=configuration)
        elif settings.kubeconfig is not None:
            _load_kubeconfig(settings.kubeconfig, settings.context, configuration)
        else:
            raise TargetError("no cluster is configured: set [kubernetes] kubeconfig, or in_cluster = true")
    except vendor_config.ConfigException as fault:
        where = "in-cluster credentials" if settings.in_cluster else f"{settings.kubeconfig}"
        known = "check file and context with `kubectl config get-contexts`"
        raise TargetError(f"{where} cannot be used: {_first_line(fault)}; {known}") from fault
    return Client(configuration, deadline=deadline, before_write=before_write)


def _load_kubeconfig(path: Path, context: str | None, configuration: vendor.Configuration) -> None:
    if not path.is_file():
        raise TargetError(f"{path} is not there: set [kubernetes] kubeconfig to your kubeconfig file")
    try:
        load: Callable[..., None] = vendor_config.load_kube_config
        load(str(path), context, client_configuration=configuration, persist_config=False)
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as fault:
        # The vendor reads the file without a schema: a broken one fails in any of these ways.
        raise TargetError(
            f"{path} is no usable kubeconfig: {_first_line(fault)}; `kubectl config view` shows why"
        ) from fault


def connect_by_token(
    url: str, token_file: Path, authority: Path | None = None, *, deadline: float = DEADLINE
) -> Client:
    """A client for a server by address and bearer token. Raises TargetError when the file cannot be read."""
    configuration = vendor.Configuration()
    configuration.host = url
    configuration.ssl_ca_cert = str(authority) if authority else None
    try:
        token = token_file.read_text().strip()
    except OSError as fault:
        raise TargetError(
            f"{token_file} cannot be read: {fault.strerror}; it should hold the cluster's token"
        ) from fault
    configuration.api_key = {"BearerToken": token}
    configuration.api_key_prefix = {"BearerToken": "Bearer"}
    return Client(configuration, deadline=deadline)


class Client:
    """Calls to one cluster. Safe to use from one thread at a time."""

    def __init__(
        self,
        configuration: vendor.Configuration,
        *,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
        before_write: Callable[[], None] = unhindered,
    ) -> None:
        configuration.retries = False  # the journal and `find`, not a blind repeat, settle a lost answer
        if urlsplit(configuration.host).hostname in {"127.0.0.1", "localhost", "::1"}:
            configuration.proxy = None
        self.server: str = configuration.host
        self._api = vendor.ApiClient(configuration)
        self._deadline = deadline
        self._clock, self._before_write = clock, before_write

    def close(self) -> None:
        """Close pooled connections."""
        pools = self._api.rest_client.pool_manager.pools
        for key in pools.keys():  # noqa: SIM118 - urllib3's container cannot be iterated
            pools[key].close()  # dropping a pool leaves its connections to the garbage collector
        self._api.rest_client.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        media_type: str = "",
    ) -> Json:
        """The decoded answer. Raises a TargetError that fits the status, or UnreachableError when there was no answer."""
        answer = self._call(method, path, query or {}, body, media_type, "application/json")
        try:
            decoded = json.loads(answer)
        except ValueError as fault:
            raise TargetError(
                f"{self.server} does not answer in JSON: is it the address of a Kubernetes API?"
            ) from fault
        if not isinstance(decoded, dict):
            raise TargetError(f"{self.server} answered {method} {path} with something that is no object")
        return decoded

    def text(self, path: str, *, query: Mapping[str, str] | None = None) -> str:
        """A plain answer, such as a log; bytes that are no UTF-8 are replaced."""
        return self._call("GET", path, query or {}, None, "", "*/*").decode(errors="replace")

    def _call(
        self, method: str, path: str, query: Mapping[str, str], body: object, media_type: str, accept: str
    ) -> bytes:
        if method != "GET" and query.get("dryRun") != "All":
            self._before_write()
        headers = {"Accept": accept} | (
            {"Content-Type": media_type or "application/json"} if body is not None else {}
        )
        request = self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        end = self._clock() + self._deadline
        try:
            answer = self._api.call_api(*request, _request_timeout=self._deadline).response
            try:
                content_bytes = self._read(answer, end)
                answer.release_conn()
            finally:
                # A connection whose answer was not read to its end is not used again.
                answer.close()
        except vendor.ApiException as fault:
            # Status 0: the vendor's word for TLS that failed.
            raise UnreachableError(
                f"{self.server}: {_first_line(fault.reason)}; check the certificate authority"
            ) from fault
        except urllib3.exceptions.HTTPError as fault:
            raise UnreachableError(
                f"{self.server} gave no answer to {method} {path} within {self._deadline:g} s ({type(fault).__name__}): "
                "check that the cluster runs and can be reached from here"
            ) from fault
        if not 200 <= answer.status < 300:
            raise _refusal(
                self.server, method, path, answer.status, content_bytes, answer.headers.get("Retry-After")
            )
        return content_bytes

    def _read(self, answer: Any, end: float) -> bytes:  # noqa: ANN401 - urllib3's response, untyped by the vendor
        """The body; a server that drips it is cut off at the deadline."""
        parts: list[bytes] = []
        size = 0
        while part := answer.read1(_CHUNK):
            parts.append(part)
            size += len(part)
            if self._clock() > end:
                raise urllib3.exceptions.ReadTimeoutError(answer, None, "the answer took too long")
            if size > _MOST_BYTES:
                raise TargetError(
                    f"{self.server} sent more than {_MOST_BYTES} bytes: ask for less with a selector or a limit"
                )
        return b"".join(parts)


def _first_line(text: object) -> str:
    return str(text).strip().partition("\n")[0][:300]


def _refusal(
    server: str, method: str, path: str, code: int, body: bytes, retry_after: str | None
) -> TargetError:
    """The TargetError of a status code, with the server's own words and what to do."""
    said, field = _status_of(body)
    about = f"{method} {path}: {said or code}"
    if field:
        return FieldConflictError(
            f"{about}; another manager owns the field: agree on one owner, then sign again", field
        )
    if code == 429:
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
        return RateLimitedError(f"{about}; the cluster asks for fewer requests", seconds)
    kind, advice = _ADVICE.get(
        code, (TargetError, f"(HTTP {code}) correct the object, or look into the API server's log")
    )
    if kind is UnauthorizedError:
        return UnauthorizedError(f"{server} does not accept the credential: {advice}")
    return kind(f"{about}; {advice}")


_MOVED = (ConflictError, "read the object again and sign a change that fits it")
_NOT_READY = (UnreachableError, "the API server is not ready, the effect is unknown until it is read")
_ADVICE: Mapping[int, tuple[type[TargetError], str]] = {
    401: (UnauthorizedError, "renew the kubeconfig or the token"),
    403: (ForbiddenError, "the gate's account lacks the right, or an admission rule forbids the object"),
    404: (NotFoundError, "correct the name, or make what it names first"),
    **dict.fromkeys((409, 410, 412, 422), _MOVED),
    **dict.fromkeys((502, 503, 504), _NOT_READY),
}


def _status_of(body: bytes) -> tuple[str, str]:
    """(message, first conflicting field) of a Status, as far as the body is one."""
    try:
        status = json.loads(body)
    except ValueError:
        return _first_line(body.decode(errors="replace")), ""
    if not isinstance(status, dict):
        return "", ""
    causes = (status.get("details") or {}).get("causes") or []
    conflicts = [cause.get("field", "") for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    return str(status.get("message", ""))[:2000], conflicts[0] if conflicts else ""
