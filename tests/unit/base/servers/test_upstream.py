"""A server that asks, lies, floods or falls silent gets nothing from us but a refusal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.servers import Other
from tools import confine
from tools.gate.servers.upstream import ServerAsksError, ServerRefusedError, Upstream
from tools.verbs import UnreachableError


@pytest.fixture
def other(tmp_path: Path) -> Other:
    return Other(tmp_path)


@pytest.fixture
def upstream(other: Other) -> Iterator[Upstream]:
    made = other.guarded().open()
    yield made
    made.close()


def test_a_call_goes_there_and_its_text_comes_back(upstream: Upstream, other: Other) -> None:
    assert upstream.call("look", {"name": "x"}) == "done"
    assert other.calls() == [{"name": "look", "arguments": {"name": "x"}}]
    assert [each["name"] for each in upstream.tools()] == ["look", "make"]


def test_what_a_server_asks_is_refused_and_its_call_goes_on(upstream: Upstream, other: Other) -> None:
    other.tell(act="ask")
    elicitation, sampling, roots, ping = json.loads(upstream.call("look", {}))
    for refused in (elicitation, sampling, roots):
        assert refused["error"]["code"] == -32601
        assert "result" not in refused
    assert ping["result"] == {}
    assert other.asked == ["elicitation/create", "sampling/createMessage", "roots/list"]


@pytest.mark.parametrize("act", ["question", "question by its type", "question in disguise"])
def test_a_question_in_place_of_a_result_goes_no_further(upstream: Upstream, other: Other, act: str) -> None:
    other.tell(act=act)
    with pytest.raises(ServerAsksError):
        upstream.call("look", {})
    assert other.asked == ["tools/call result"]


def test_a_flood_of_questions_ends_the_server(upstream: Upstream, other: Other) -> None:
    other.tell(act="many questions")
    with pytest.raises(UnreachableError):
        upstream.call("look", {})
    assert len(other.asked) <= 50


@pytest.mark.parametrize("act", ["twice", "noise", "nan"])
def test_what_is_no_strict_message_ends_the_server(upstream: Upstream, other: Other, act: str) -> None:
    other.tell(act=act)
    with pytest.raises(UnreachableError):
        upstream.call("look", {})
    assert not upstream.alive


def test_silence_is_an_unknown_effect(upstream: Upstream, other: Other) -> None:
    other.tell(act="silence")
    with pytest.raises(UnreachableError, match="gave no answer"):
        upstream.call("look", {}, deadline=0.2)


def test_a_death_is_an_unknown_effect_and_says_its_last_words(upstream: Upstream, other: Other) -> None:
    other.tell(act="die")
    with pytest.raises(UnreachableError):
        upstream.call("look", {})
    with pytest.raises(UnreachableError, match="I am dying"):
        upstream.call("look", {})


@pytest.mark.parametrize("act", ["fail", "error"])
def test_a_tool_that_fails_is_a_refusal_of_the_target(upstream: Upstream, other: Other, act: str) -> None:
    other.tell(act=act)
    with pytest.raises(ServerRefusedError):
        upstream.call("look", {})


def test_only_words_pass(upstream: Upstream, other: Other) -> None:
    other.tell(act="picture")
    assert upstream.call("look", {}) == "[image left out]\ndone"


def test_an_unknown_protocol_is_no_server(other: Other) -> None:
    other.tell(protocol="2099-01-01")
    with pytest.raises(UnreachableError, match="no version of MCP"):
        other.guarded().open()


@pytest.mark.parametrize(
    "edits",
    [
        {"argv": ("/nowhere/server",)},
        {"program_sha256": "sha256:" + "0" * 64},
        {"credentials": {"T": Path("/nowhere")}},
    ],
)
def test_another_program_is_not_started(other: Other, edits: dict[str, object]) -> None:
    if edits.get("argv"):
        edits["program_sha256"] = "sha256:" + "0" * 64
    with pytest.raises(UnreachableError, match="cannot be started"):
        other.guarded(**edits).open()


@pytest.mark.skipif(not confine.landlock_abi(), reason="this kernel has no Landlock")
def test_a_server_gets_its_own_environment_and_folder_and_no_other(other: Other, tmp_path: Path) -> None:
    secret, probe = tmp_path / "token", tmp_path / "probe.py"
    secret.write_text("its-own\n")
    hidden = tmp_path / "hidden"
    hidden.write_text("MARKED")
    probe.write_text(
        f"""
import os, pathlib, socket
seen = dict(os.environ)
for name, act in {{"read": lambda: open({str(hidden)!r}).read(), "write": lambda: open({str(tmp_path / "made")!r}, "w"),
                  "listen": lambda: socket.create_server(("0.0.0.0", 0))}}.items():
    try:
        act()
        seen[name] = "ALLOWED"
    except OSError:
        seen[name] = "denied"
import json
pathlib.Path(os.environ["HOME"], "seen.json").write_text(json.dumps(seen))
"""
    )
    os.environ["MARKED"] = "secret"
    try:
        with pytest.raises(UnreachableError):
            other.guarded(
                argv=(other.settings().argv[0], "-I", str(probe)), credentials={"TOKEN": secret},
                readable=(*map(Path, confine.python_paths()), probe),
            ).open()  # fmt: skip
    finally:
        del os.environ["MARKED"]
    home = tmp_path / "state/other.home"
    seen = json.loads((home / "seen.json").read_text())
    assert seen.pop("LC_CTYPE", "") in {"", "C.UTF-8"}  # the interpreter sets it itself
    assert seen == {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home), "TOKEN": "its-own",
        "read": "denied", "write": "denied", "listen": "denied" if confine.landlock_abi() >= 4 else "ALLOWED",
    }  # fmt: skip
