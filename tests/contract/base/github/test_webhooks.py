"""GitHub's own webhook bodies, from npm: each of ours is a hint once, and none that was touched."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tools.gate.approval import hint_file
from tools.gate.deliveries import EVENTS, OLDEST, Deliveries, DeliveryRefusedError, _moments

VERSION = "7"
CACHE = Path.home() / ".cache" / "countersign" / "octokit-webhooks-examples" / VERSION
SECRET = b"a secret of sixteen bytes or more"


@pytest.fixture(scope="session")
def examples() -> list[tuple[str, dict[str, Any]]]:
    """Event and body of every example."""
    file = CACHE / "node_modules" / "@octokit" / "webhooks-examples" / "api.github.com" / "index.json"
    if not file.is_file():
        if not shutil.which("npm"):
            pytest.skip("npm is not installed: GitHub's webhook examples cannot be fetched")
        CACHE.mkdir(parents=True, exist_ok=True)
        package = f"@octokit/webhooks-examples@{VERSION}"
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(CACHE), package]
        subprocess.run(command, check=True, timeout=300)
    events = json.loads(file.read_bytes())
    return [(event["name"], body) for event in events for body in event["examples"]]


def headers(event: str, body: bytes) -> dict[str, str]:
    signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    identity = hashlib.sha256(body).hexdigest()[:36]
    return {"x-hub-signature-256": signature, "x-github-event": event, "x-github-delivery": identity}


def test_each_of_our_events_is_a_hint_once_while_it_is_fresh(
    examples: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    ours = [(event, body) for event, body in examples if event in EVENTS]
    assert {event for event, _ in ours} == EVENTS
    assert len(ours) >= 40
    for number, (event, told) in enumerate(ours):
        folder = tmp_path / str(number)
        folder.mkdir()
        body, now = json.dumps(told).encode(), [max(_moments(told))]
        name = told["repository"]["full_name"]
        deliveries = Deliveries(folder, SECRET, name, lambda now=now: now[0])  # type: ignore[misc]
        assert deliveries.receive(headers(event, body), body) is True, event
        assert hint_file(folder, name).exists()
        for refused, given in (
            ("replayed-delivery", body),
            ("bad-signature", body.replace(b"a", b"b", 1)),
        ):
            with pytest.raises(DeliveryRefusedError) as refusal:
                deliveries.receive(headers(event, body), given)
            assert refusal.value.name == refused
        now[0] += OLDEST + timedelta(seconds=1)
        later = json.dumps(told | {"later": True}).encode()
        with pytest.raises(DeliveryRefusedError) as refusal:
            deliveries.receive(headers(event, later), later)
        assert refusal.value.name == "old-delivery"
        deliveries.close()


def test_every_other_event_is_nothing_to_us(
    examples: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    others = [(event, body) for event, body in examples if event not in EVENTS]
    assert len(others) > 100
    for event, told in others:
        body = json.dumps(told).encode()
        deliveries = Deliveries(tmp_path, SECRET, "Codertocat/Hello-World", lambda: max(_moments(told)))  # noqa: B023
        assert deliveries.receive(headers(event, body), body) is False
        deliveries.close()
    assert not (tmp_path / "hints").exists()
