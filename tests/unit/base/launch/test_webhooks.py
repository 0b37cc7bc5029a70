"""The webhook over HTTP: what may come in, how much of it, and what is answered."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn

from tools.gate.approval import hint_file
from tools.gate.deliveries import BODY_LIMIT, Deliveries
from tools.launch import webhooks

SECRET = b"a secret of sixteen bytes or more"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
BODY = json.dumps(
    {"repository": {"full_name": "acme/platform"}, "workflow_run": {"updated_at": "2026-11-02T09:00:00Z"}}
).encode()


@dataclass
class Running:
    port: int
    folder: Path
    said: list[str]

    def post(
        self, body: bytes = BODY, path: str = "/webhooks", method: str = "POST", **edits: str
    ) -> tuple[int, str]:
        headers = {
            "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest(),
            "X-GitHub-Event": "workflow_run",
            "X-GitHub-Delivery": "delivery-1",
            "Content-Type": "application/json",
        } | {name.replace("_", "-"): value for name, value in edits.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        link.request(method, path, body, headers)
        answer = link.getresponse()
        text = answer.read().decode()
        link.close()
        return answer.status, json.loads(text).get("refused", "") if text.startswith("{") else text

    @property
    def hinted(self) -> bool:
        return hint_file(self.folder, "acme/platform").exists()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    said: list[str] = []
    deliveries = Deliveries(tmp_path, SECRET, "acme/platform", lambda: NOW)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(webhooks.app_of(deliveries, said.append), log_level="error", lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    yield Running(listening.getsockname()[1], tmp_path, said)
    server.should_exit = True
    thread.join(10)
    listening.close()
    deliveries.close()


def test_a_genuine_delivery_wakes_whoever_waits_once(running: Running) -> None:
    assert running.post() == (202, "")
    assert running.hinted
    assert running.said == ["workflow_run delivery-1: whoever waits asks GitHub"]
    assert running.post() == (409, "replayed-delivery")


def test_an_event_that_is_nothing_to_us_is_answered_with_nothing(running: Running) -> None:
    assert running.post(X_GitHub_Event="star") == (204, "")
    assert not running.hinted


@pytest.mark.parametrize(
    ("edits", "status", "name"),
    [
        ({"X_Hub_Signature_256": "sha256=" + "0" * 64}, 401, "bad-signature"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415, "not-json"),
        ({"X_GitHub_Delivery": "no"}, 400, "no-delivery-id"),
        ({"body": b"x" * (BODY_LIMIT + 1)}, 413, "body-too-large"),
    ],
)
def test_the_rest_is_refused_by_name(running: Running, edits: dict, status: int, name: str) -> None:
    assert running.post(**edits) == (status, name)
    assert not running.hinted


def test_there_is_one_door(running: Running) -> None:
    assert running.post(method="GET")[0] == 405
    assert running.post(path="/")[0] == 404


def test_a_body_that_does_not_come_is_not_waited_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_PATIENCE", 0.05)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as link:
        link.sendall(
            b"POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert link.recv(4096).startswith(b"HTTP/1.1 408")
