"""Every way in which a cluster fails to answer, over real sockets: a named refusal, in time, with what to do, without the credential."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.base.kubernetes.shop import Shop
from tools.kubernetes.client import Client, FieldConflictError, connect, connect_by_token
from tools.kubernetes.cluster import LiveCluster
from tools.settings import KubernetesSettings
from tools.verbs import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    TargetError,
    UnauthorizedError,
    UnreachableError,
)

SECRET = "very-secret-token"
Serve = Callable[[socket.socket], None]


@contextmanager
def server(serve: Serve) -> Iterator[tuple[str, list[bytes]]]:
    """A server that treats each connection with `serve`; its address and the requests' first bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65536))
                try:
                    serve(connection)
                except OSError:
                    continue  # the client has gone: what these tests are about

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def answer(code: int, body: object, *headers: str) -> Serve:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(data)}\r\nConnection: close\r\n" + "".join(
        f"{h}\r\n" for h in headers
    )
    return lambda connection: connection.sendall(head.encode() + b"\r\n" + data)


def status(code: int, message: str, **more: object) -> dict[str, object]:
    return {"kind": "Status", "code": code, "message": message} | more


def client(url: str, folder: Path, deadline: float = 2) -> Client:
    token = folder / "token"
    token.write_text(SECRET + "\n")
    return connect_by_token(url, token, deadline=deadline)


CONFLICT = status(
    409, "Apply failed", details={"causes": [{"reason": "FieldManagerConflict", "field": ".spec.replicas"}]}
)
ROWS: dict[str, tuple[Serve, type[TargetError], str]] = {
    "401": (answer(401, status(401, "Unauthorized")), UnauthorizedError, "renew the kubeconfig or the token"),
    "403": (answer(403, status(403, "pods is forbidden")), ForbiddenError, "pods is forbidden"),
    "404": (answer(404, status(404, "not found")), NotFoundError, "not found"),
    "404 in plain text": (answer(404, b"404 page not found"), NotFoundError, "404 page not found"),
    "409": (answer(409, status(409, "has been modified")), ConflictError, "sign a change that fits it"),
    "409 of a field": (answer(409, CONFLICT), FieldConflictError, "another manager owns the field"),
    "410": (answer(410, status(410, "too old")), ConflictError, "read the object again"),
    "422": (answer(422, status(422, "is invalid")), ConflictError, "is invalid"),
    "429": (answer(429, status(429, "slow down"), "Retry-After: 7"), RateLimitedError, "fewer requests"),
    "500": (
        answer(500, status(500, "failed to create typed patch object")),
        TargetError,
        "failed to create typed patch object",
    ),
    "503": (answer(503, status(503, "starting")), UnreachableError, "not ready"),
    "400": (answer(400, status(400, "bad")), TargetError, "correct the object"),
    "a redirect": (answer(302, b"", "Location: http://127.0.0.1:9/"), TargetError, "HTTP 302"),
    "no JSON": (answer(200, b"<html>"), TargetError, "does not answer in JSON"),
    "a list": (answer(200, []), TargetError, "no object"),
    "nothing": (lambda connection: None, UnreachableError, "gave no answer"),
    "half a body": (
        lambda c: c.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{"),
        UnreachableError,
        "gave no answer",
    ),
    "no HTTP": (lambda c: c.sendall(b"SSH-2.0-x\r\n"), UnreachableError, "gave no answer"),
    "an odd status": (answer(409, b'{"details":{"causes":null}}'), ConflictError, "409"),
    "a status that is no object": (answer(403, b"[1]"), ForbiddenError, "403"),
}


@pytest.mark.parametrize("what", ROWS)
def test_a_failure_has_its_name_and_says_what_to_do(what: str, tmp_path: Path) -> None:
    serve, kind, words = ROWS[what]
    with server(serve) as (url, heard), pytest.raises(TargetError, match=words) as refused:
        client(url, tmp_path).json("GET", "/api/v1/pods")
    assert type(refused.value) is kind
    assert SECRET not in str(refused.value)
    assert len(heard) == 1


def test_the_token_goes_out_as_a_bearer(tmp_path: Path) -> None:
    with server(answer(200, {})) as (url, heard):
        assert client(url, tmp_path).json("GET", "/api/v1/pods") == {}
    assert f"authorization: bearer {SECRET}".encode() in heard[0].lower()


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_nothing_is_sent_twice(method: str, tmp_path: Path) -> None:
    with server(lambda connection: None) as (url, heard), pytest.raises(UnreachableError):
        client(url, tmp_path).json(method, "/x", body=None if method == "GET" else {"a": 1})
    assert len(heard) == 1


def hang(connection: socket.socket) -> None:
    connection.recv(1)


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" " * 10)
        time.sleep(0.02)


@pytest.mark.parametrize("serve", [hang, drip])
def test_a_server_that_hangs_or_drips_is_left_at_the_deadline(serve: Serve, tmp_path: Path) -> None:
    began = time.monotonic()
    with server(serve) as (url, _):
        with pytest.raises(UnreachableError, match=r"within 0.3 s"):
            client(url, tmp_path, deadline=0.3).json("GET", "/x")
        assert time.monotonic() - began < 2


def test_how_long_to_wait_is_handed_on(tmp_path: Path) -> None:
    with server(ROWS["429"][0]) as (url, _), pytest.raises(RateLimitedError) as refused:
        client(url, tmp_path).json("GET", "/x")
    assert refused.value.retry_after == 7


def test_a_port_where_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match="check that the cluster runs"):
        client(f"http://127.0.0.1:{port}", tmp_path).json("GET", "/x")


def test_a_certificate_of_somebody_else_is_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        stranger = client(shop.served.url, tmp_path)
        try:
            stranger.json("GET", "/version")
        finally:
            stranger.close()


def test_the_wrong_token(shop: Shop, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong")
    other = connect_by_token(shop.served.url, token, shop.served.authority)
    with pytest.raises(UnauthorizedError):
        LiveCluster(other).resolve(("web",))
    other.close()


KUBECONFIGS = {
    "no YAML": "a: [1",
    "another document": "a: 1",
    "empty": "",
    "no context": "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\ncurrent-context: absent\n",
    "a list": "[1, 2]",
}


@pytest.mark.parametrize("what", KUBECONFIGS)
def test_a_kubeconfig_that_cannot_be_used_is_named(what: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIGS[what])
    with pytest.raises(TargetError, match="kubeconfig"):
        connect(KubernetesSettings(kubeconfig=path))


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"\[kubernetes\] kubeconfig"):
        connect(KubernetesSettings(kubeconfig=tmp_path / "absent"))


def test_no_cluster_configured() -> None:
    with pytest.raises(TargetError, match="no cluster is configured"):
        connect(KubernetesSettings())


def test_not_in_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(TargetError, match="in-cluster credentials cannot be used"):
        connect(KubernetesSettings(in_cluster=True))


def test_another_context_than_the_file_has(shop: Shop) -> None:
    with pytest.raises(TargetError, match="kubectl config get-contexts"):
        connect(KubernetesSettings(kubeconfig=shop.served.kubeconfig, context="absent"))
