"""A delivery is a hint when it is genuine, fresh and new; each row is one that is not."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tools.gate import deliveries
from tools.gate.approval import hint_file
from tools.gate.deliveries import Deliveries, DeliveryRefusedError, SecretFaultError, secret_of

SECRET = b"a secret of sixteen bytes or more"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
REVIEW: dict[str, Any] = {
    "action": "submitted",
    "review": {"state": "approved", "submitted_at": "2026-11-02T08:59:58Z"},
    "pull_request": {"number": 7, "updated_at": "2026-11-02T08:59:58Z"},
    "repository": {"full_name": "Acme/Platform", "pushed_at": "2026-11-01T00:00:00Z"},
}


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, NOW
        self.open()

    def open(self) -> None:
        self.deliveries = Deliveries(self.folder, SECRET, "acme/platform", lambda: self.now)

    def headers(self, body: bytes, secret: bytes = SECRET, **edits: str) -> dict[str, str]:
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        told = {"x-hub-signature-256": signature, "x-github-event": "pull_request_review",
                "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}  # fmt: skip
        return told | {name.replace("_", "-"): value for name, value in edits.items()}

    def send(
        self, told: Any = REVIEW, *, body: bytes | None = None, secret: bytes = SECRET, **edits: str
    ) -> bool:
        data = json.dumps(told).encode() if body is None else body
        return self.deliveries.receive(self.headers(data, secret, **edits), data)

    def refused(self, act: Callable[[], Any]) -> tuple[int, str]:
        with pytest.raises(DeliveryRefusedError) as refusal:
            act()
        return refusal.value.status, refusal.value.name

    @property
    def hinted(self) -> bool:
        return hint_file(self.folder, "acme/platform").exists()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def but(**parts: Any) -> dict[str, Any]:
    return REVIEW | parts


def test_a_genuine_one_is_a_hint_and_says_nothing_else(world: World) -> None:
    assert world.send() is True
    assert world.hinted
    assert hint_file(world.folder, "acme/platform").read_bytes() == b""


@pytest.mark.parametrize("event", ["ping", "issues", "pull_request_review_comment", "", "PUSH"])
def test_other_events_are_nothing_to_us(world: World, event: str) -> None:
    assert world.send(x_github_event=event) is False
    assert not world.hinted


def test_another_repository_is_nothing_to_us(world: World) -> None:
    for name in ({"full_name": "acme/other"}, {}, "acme/platform"):
        assert (
            world.send(but(repository=name, n=str(name)), x_github_delivery=f"delivery-{len(str(name))}")
            is False
        )
    assert not world.hinted


UNSIGNED: dict[str, dict[str, Any]] = {
    "no signature": {"x_hub_signature_256": ""},
    "a signature by another": {"secret": b"another secret of some length"},
    "a signature of nothing": {"x_hub_signature_256": "sha256="},
    "the weaker kind": {"x_hub_signature_256": "sha1=" + "0" * 40},
    "without its kind": {"x_hub_signature_256": hmac.new(SECRET, json.dumps(REVIEW).encode(), hashlib.sha256).hexdigest()},
    "no ASCII": {"x_hub_signature_256": "sha256=\u00e9\ud800"},
    "another's event": {"x_github_event": "ping", "x_hub_signature_256": "sha256=" + "0" * 64},
}  # fmt: skip


@pytest.mark.parametrize("what", UNSIGNED)
def test_what_is_not_signed_with_the_secret_is_refused(world: World, what: str) -> None:
    assert world.refused(lambda: world.send(**UNSIGNED[what])) == (401, "bad-signature")
    assert not world.hinted


def test_one_changed_byte_is_refused(world: World) -> None:
    body = json.dumps(REVIEW).encode()
    headers = world.headers(body)
    for at in range(0, len(body), 7):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        assert world.refused(lambda: world.deliveries.receive(headers, changed)) == (401, "bad-signature")  # noqa: B023


def test_a_replay_is_refused_whatever_its_headers_say_and_after_a_restart(world: World) -> None:
    assert world.send()
    assert world.refused(world.send) == (409, "replayed-delivery")
    assert world.refused(lambda: world.send(x_github_delivery="another-delivery")) == (
        409,
        "replayed-delivery",
    )
    assert world.refused(lambda: world.send(x_github_event="push", x_github_delivery="a-third-one")) == (
        409,
        "replayed-delivery",
    )
    world.deliveries.close()
    world.open()
    assert world.refused(world.send) == (409, "replayed-delivery")
    assert world.refused(lambda: world.send(but(n=1))) == (409, "replayed-delivery")  # the same id
    assert world.send(but(n=1), x_github_delivery="another-delivery")


OLD = "2026-11-02T08:44:00Z"
MOMENTS: dict[str, tuple[Any, bool]] = {
    "a moment ago": (REVIEW, True),
    "old": (but(review={"submitted_at": OLD}, pull_request={"updated_at": OLD}), False),
    "an old review dismissed now": (but(review={"submitted_at": "2026-10-01T00:00:00Z"}), True),
    "of tomorrow": (but(pull_request={"updated_at": "2026-11-03T09:00:00Z"}), False),
    "a push, in seconds": ({"repository": {"full_name": "acme/platform", "pushed_at": int(NOW.timestamp())}}, True),
    "a push whose commit says now": (
        {"repository": {"full_name": "acme/platform", "pushed_at": 1}, "head_commit": {"timestamp": "2026-11-02T09:00:00Z"}},
        False,
    ),
    "a workflow run": ({"workflow_run": {"updated_at": "2026-11-02T09:00:00Z"}, "repository": {"full_name": "acme/platform"}}, True),
    "of no time": ({"repository": {"full_name": "acme/platform"}}, False),
    "of a time that is none": (but(review={"submitted_at": "now"}, pull_request={"updated_at": True}, repository={"pushed_at": 10**30}), False),
}  # fmt: skip


@pytest.mark.parametrize("what", MOMENTS)
def test_only_a_fresh_one_counts(world: World, what: str) -> None:
    told, fresh = MOMENTS[what]
    if fresh:
        assert world.send(told) is True
    else:
        assert world.refused(lambda: world.send(told)) == (409, "old-delivery")
        assert not world.hinted


def test_what_is_forgotten_is_old_by_then(world: World) -> None:
    assert world.send()
    world.now += timedelta(hours=2)
    later = but(pull_request={"updated_at": "2026-11-02T11:00:00Z"})
    assert world.send(later, x_github_delivery="later-delivery")
    assert world.deliveries._db.execute("SELECT count(*) FROM seen").fetchone() == (1,)
    assert world.refused(world.send) == (409, "old-delivery")


def test_the_memory_has_an_end_and_what_goes_beyond_it_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_KEPT", 2)
    for n in (1, 2):
        assert world.send(but(n=n), x_github_delivery=f"delivery-{n}")
    third = lambda: world.send(but(n=3), x_github_delivery="delivery-3")  # noqa: E731
    assert world.refused(third) == (429, "too-many-deliveries")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000], ids=["empty", "a list", "cut", "no text", "deep"]
)
def test_a_body_that_is_no_object_is_refused_even_when_signed(world: World, body: bytes) -> None:
    assert world.refused(lambda: world.send(body=body)) == (400, "no-json-object")


@pytest.mark.parametrize("identity", ["", "short", "x" * 65, "a b c d e f g h", "../../../etc"])
def test_a_delivery_has_an_identity(world: World, identity: str) -> None:
    assert world.refused(lambda: world.send(x_github_delivery=identity)) == (400, "no-delivery-id")


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "credentials" / "webhook.secret"
    first = secret_of(path)
    assert len(first) >= 32
    assert secret_of(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(SecretFaultError, match="chmod 600"):
        secret_of(path)
    path.write_bytes(b"short\n")
    path.chmod(0o600)
    with pytest.raises(SecretFaultError, match="16 or more"):
        secret_of(path)
    with pytest.raises(SecretFaultError, match="cannot be read"):
        secret_of(path / "below")
