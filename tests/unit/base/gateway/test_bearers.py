"""Bearers: only digests are kept, names and tokens are one client's own, a revoked one is nobody."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools.gateway import bearers
from tools.gateway.bearers import FILE, BearerFaultError
from tools.tool import Role

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def test_a_token_is_known_by_its_digest_alone(tmp_path: Path) -> None:
    token = bearers.make(tmp_path, Role.DEVOPS, "agent", NOW)
    kept = (tmp_path / FILE).read_text()
    assert token not in kept
    assert token[3:] not in kept
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    found = bearers.load(tmp_path).of(token)
    assert found is not None
    assert (found.name, found.role) == ("agent", Role.DEVOPS)


def test_each_token_speaks_as_its_own_role(tmp_path: Path) -> None:
    tokens = {role: bearers.make(tmp_path, role, role, NOW) for role in (Role.DEVOPS, Role.SRE, Role.PERSON)}
    known = bearers.load(tmp_path)
    assert {role: known.of(token).role for role, token in tokens.items()} == {role: role for role in tokens}


@pytest.mark.parametrize(
    "edit",
    [
        str.lower,
        str.upper,
        lambda t: t[:-1],
        lambda t: t + "=",
        lambda _: "",
        lambda t: " " + t,
        lambda t: t + "\udcff",
    ],
)
def test_a_token_that_is_not_exactly_the_one_is_nobody(tmp_path: Path, edit: object) -> None:
    token = bearers.make(tmp_path, Role.DEVOPS, "agent", NOW)
    assert bearers.load(tmp_path).of(edit(token)) is None


def test_the_digest_itself_is_no_token(tmp_path: Path) -> None:
    bearers.make(tmp_path, Role.DEVOPS, "agent", NOW)
    [kept] = bearers.load(tmp_path).bearers
    assert bearers.load(tmp_path).of(kept.digest) is None


def test_what_is_revoked_is_nobody_at_once(tmp_path: Path) -> None:
    token = bearers.make(tmp_path, Role.DEVOPS, "agent", NOW)
    other = bearers.make(tmp_path, Role.SRE, "watcher", NOW)
    bearers.revoke(tmp_path, "agent")
    assert bearers.load(tmp_path).of(token) is None
    assert bearers.load(tmp_path).of(other) is not None
    with pytest.raises(BearerFaultError, match="there are: watcher"):
        bearers.revoke(tmp_path, "agent")


@pytest.mark.parametrize(
    ("name", "token", "words"),
    [
        ("agent", None, "already"),
        ("other", "short", "printable characters"),
        ("other", "a" * 40 + " b", "printable characters"),
        ("other", "é" * 40, "printable characters"),
        ("other", "a" * 600, "printable characters"),
        ("other", "KNOWN", "known already"),
        ("../x", None, "no name"),
        ("Big", None, "no name"),
    ],
)
def test_a_bearer_that_cannot_be_made_says_why(
    tmp_path: Path, name: str, token: str | None, words: str
) -> None:
    first = bearers.make(tmp_path, Role.DEVOPS, "agent", NOW)
    with pytest.raises(BearerFaultError, match=words):
        bearers.make(tmp_path, Role.SRE, name, NOW, first if token == "KNOWN" else token)
    assert len(bearers.load(tmp_path).bearers) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":2,"bearers":[]}', '{"bearers":[],"x":1}'])
def test_a_file_that_cannot_be_used_opens_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BearerFaultError, match="restore it"):
        bearers.load(tmp_path)


def test_a_token_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    bearers.write_token(path, "t" * 40)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bearers.read_token(path) == "t" * 40
    with pytest.raises(BearerFaultError, match="cannot be written"):
        bearers.write_token(path, "u" * 40)
    path.chmod(0o640)
    with pytest.raises(BearerFaultError, match="read by others"):
        bearers.read_token(path)
    with pytest.raises(BearerFaultError, match="cannot be read"):
        bearers.read_token(tmp_path / "none")


def test_the_list_is_plain_json_without_a_secret(tmp_path: Path) -> None:
    bearers.make(tmp_path, Role.DEVOPS, "agent", NOW)
    assert json.loads((tmp_path / FILE).read_text())["bearers"][0].keys() == {
        "name",
        "role",
        "digest",
        "made",
    }
