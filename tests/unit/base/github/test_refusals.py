"""Every no of a GitHub, and every silence, as one of our words; the token is in none of them."""

import json
import socket
import traceback
from pathlib import Path

import pytest

from tests.fakes.scripted_github import Scripted, scripted
from tools.github.client import connect
from tools.github.target import GitHubTarget, open_target
from tools.settings import GitHubSettings
from tools.verbs import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    TargetError,
    UnauthorizedError,
    UnreachableError,
)

TOKEN = "ghp_a-marked-test-secret"


def settings(tmp_path: Path, address: str, token: str = TOKEN, mode: int = 0o600) -> GitHubSettings:
    file = tmp_path / "token"
    file.write_text(token)
    file.chmod(mode)
    return GitHubSettings(api_url=address, repository="acme/platform", token_file=file)


def target(tmp_path: Path, address: str) -> GitHubTarget:
    return open_target(settings(tmp_path, address))


def said(message: str, **more: object) -> bytes:
    return json.dumps(
        {"message": message, "documentation_url": "https://docs.github.com/rest", **more}
    ).encode()


TABLE = [
    (401, {}, "Bad credentials", UnauthorizedError, "token"),
    (403, {}, "Resource not accessible by personal access token", ForbiddenError, "token"),
    (404, {}, "Not Found", NotFoundError, r"access|see"),
    (409, {}, "Git Repository is empty.", ConflictError, "empty"),
    (422, {}, "Update is not a fast forward", ConflictError, "fast forward"),
    (429, {"Retry-After": "7"}, "You have exceeded a secondary rate limit", RateLimitedError, "7"),
    (403, {"Retry-After": "9"}, "You have exceeded a secondary rate limit", RateLimitedError, "9"),
    (
        403,
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"},
        "API rate limit exceeded",
        RateLimitedError,
        r"later|in",
    ),
    (500, {}, "Server Error", UnreachableError, "read"),
    (502, {}, "Bad Gateway", UnreachableError, "read"),
    (418, {}, "I'm a teapot", TargetError, "418"),
]


@pytest.mark.parametrize(("status", "headers", "message", "kind", "words"), TABLE, ids=lambda v: str(v)[:24])
def test_a_no_has_a_name_and_says_what_to_do(tmp_path: Path, status, headers, message, kind, words) -> None:
    with (
        scripted(Scripted(status, said(f"{message} {TOKEN}"), headers)) as server,
        pytest.raises(TargetError, match=words) as refused,
    ):
        target(tmp_path, server.address).resolve()
    assert type(refused.value) is kind
    assert TOKEN not in "".join(traceback.format_exception(refused.value))
    assert len(server.asked) == 1, "nothing is retried"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "30"}, 30.0), ({}, None), ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None)],
)
def test_the_wait_is_what_github_says(tmp_path: Path, headers, seconds) -> None:
    with (
        scripted(Scripted(429, said("slow down"), headers)) as server,
        pytest.raises(RateLimitedError) as refused,
    ):
        target(tmp_path, server.address).resolve()
    assert refused.value.retry_after == seconds


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"[]", b"{}", b"{", b"\xff\xfe", b'"text"', b"null", b""]
)
def test_an_answer_that_is_not_githubs_is_a_clear_error(tmp_path: Path, body) -> None:
    with scripted(Scripted(200, body)) as server, pytest.raises(TargetError, match="api_url"):
        target(tmp_path, server.address).resolve()


def test_silence_is_unreachable_after_the_deadline(tmp_path: Path) -> None:
    with scripted(Scripted(hang=True)) as server:
        client = connect(settings(tmp_path, server.address), deadline=1)
        with pytest.raises(UnreachableError, match="may or may not have happened") as refused:
            client.tell("POST", "/repos/acme/platform/git/refs", {})
    assert len(server.asked) == 1
    assert TOKEN not in "".join(traceback.format_exception(refused.value))


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UnreachableError, match="reached"):
        target(tmp_path, address).resolve()


@pytest.mark.parametrize(
    ("token", "mode"),
    [("", 0o600), ("  \n", 0o600), ("two words", 0o600), ("a\nb", 0o600), (TOKEN, 0o640), (TOKEN, 0o604)],
)
def test_a_token_file_that_is_no_secret_is_not_used(tmp_path: Path, token, mode) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        open_target(settings(tmp_path, "http://127.0.0.1:1", token, mode))
    assert not token.strip() or token not in str(refused.value)


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    told = GitHubSettings(api_url="https://api.github.com", repository="a/b", token_file=tmp_path / "absent")
    with pytest.raises(UnauthorizedError, match="absent"):
        open_target(told)


@pytest.mark.parametrize(
    "address",
    [
        "http://github.example.com/api/v3",
        "https://me:pw@github.example.com",
        "ftp://x",
        "github.com",
        "https://h:x",
    ],
)
def test_a_token_is_not_sent_to_such_an_address(tmp_path: Path, address) -> None:
    with pytest.raises(TargetError, match="api_url"):
        open_target(settings(tmp_path, address))


def test_the_token_stays_with_github_when_it_points_elsewhere(tmp_path: Path) -> None:
    with (
        scripted(Scripted(200, b"bytes")) as store,
        scripted(Scripted(302, b"", {"Location": store.address + "/held"})) as server,
    ):
        assert connect(settings(tmp_path, server.address)).download("/x", 100) == b"bytes"
    assert server.asked[0][2] == f"Bearer {TOKEN}"
    assert store.asked == [("GET", "/held", None)]


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    with scripted(Scripted(200, b"x" * 1000)) as server, pytest.raises(TargetError, match="more than 100"):
        connect(settings(tmp_path, server.address)).download("/x", 100)


def test_loopback_is_never_reached_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with scripted(Scripted(404, said("Not Found"))) as server, pytest.raises(NotFoundError):
        target(tmp_path, server.address).resolve()
