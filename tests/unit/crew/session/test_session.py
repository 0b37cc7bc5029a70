"""Sessions in the crew, with mcp 1, to servers of both environments."""

from __future__ import annotations

import anyio
import pytest

from tests.fakes import mcp_table as table
from tools.session import (
    BackgroundSessions,
    SessionAnswerError,
    SessionLostError,
    SessionTimeoutError,
    open_session,
)
from tools.tool import ToolRefusedError

SERVERS = pytest.mark.parametrize(
    "environment", [".venv", ".venv-crew"], ids=["server-of-base", "server-of-crew"]
)


@SERVERS
def test_every_answer_comes_back_as_what_it_is(environment: str) -> None:
    with table.server(environment) as (fd, _):
        found = anyio.run(table.every_answer, fd)
    assert [tool.name for tool in found["tools"]] == ["submit"]
    assert found["tools"][0].input_schema["additionalProperties"] is False
    assert found["echo"] == '안녕 \u2028 \\ "'
    names = {
        "refuse": "no-way", "limited": "target-rate-limited", "conflict": "target-conflict", "other role's": "tool-not-granted",
        "unknown": "tool-not-granted", "uncatalogued": "tool-not-granted", "unknown field": "arguments-refused", "missing": "arguments-refused",
        "text for number": "arguments-refused", "null": "arguments-refused", "too large to send": "message-too-large",
        "too large to answer": "message-too-large",
    }  # fmt: skip
    assert {key: found[key].name for key in names} == names
    assert (found["refuse"].message, found["refuse"].advice) == ("It is shut.", "Take another.")
    assert "7 seconds" in found["limited"].advice
    for key in ("fault", "other", "contract"):
        assert isinstance(found[key], SessionAnswerError)
        assert "MARKED-SECRET" not in str(found[key])
    assert "its contract is Said" in str(found["other"])
    assert len(found["large"]) == 20_000_000
    assert found["afterwards"] == "alive"


@SERVERS
def test_one_slow_call_does_not_hold_up_another(environment: str) -> None:
    with table.server(environment) as (fd, _):
        assert anyio.run(table.slow_beside_quick, fd) == ["quick", "slow"]


@SERVERS
def test_a_hang_ends_by_a_deadline_on_either_side(environment: str) -> None:
    with table.server(environment) as (fd, _):
        ours, theirs = anyio.run(table.hang, fd)
    assert isinstance(ours, SessionTimeoutError)
    assert isinstance(theirs, ToolRefusedError)
    assert theirs.name == "deadline-passed"


@SERVERS
def test_a_dead_server_is_named_at_once(environment: str) -> None:
    with table.server(environment) as (fd, process):
        first, second = anyio.run(table.death, fd, process)
    assert isinstance(first, SessionLostError)
    assert isinstance(second, SessionLostError)


@SERVERS
def test_threads_call_through_one_background_loop(environment: str) -> None:
    with table.server(environment) as (fd, _):
        assert table.in_the_background(fd) == (["submit"], "hi")


def test_a_server_that_never_answers_its_start_is_lost() -> None:
    with table.server(".venv") as (fd, process):
        process.kill()
        process.wait()
        with (
            pytest.raises(SessionLostError, match="ended before it answered"),
            BackgroundSessions({"gate": fd}),
        ):
            pass


def test_what_the_block_raises_comes_out_as_it_is() -> None:
    async def body(fd: int) -> None:
        async with open_session(fd, name="gate"):
            raise KeyError("mine")

    with table.server(".venv") as (fd, _), pytest.raises(KeyError, match="mine"):
        anyio.run(body, fd)


def test_a_closed_or_unknown_session_is_lost_not_waited_for() -> None:
    with table.server(".venv") as (fd, _):
        with (
            BackgroundSessions({"gate": fd}) as sessions,
            pytest.raises(SessionLostError, match="no session named"),
        ):
            sessions.tools("notary")
        with pytest.raises(SessionLostError):
            sessions.tools("gate")
