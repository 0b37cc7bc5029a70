from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig.build import Java, ToolMissingError, find_java, parts, require_tools
from tests.rig.children import Child, NotReadyError, Ports, start, stop, wait_for
from tests.rig.rig import Rig, down, read_record, write_record

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
PARENT = """
import sys, pathlib
from tests.rig.children import start
child = start("child", sys.argv[2:], logs=pathlib.Path(sys.argv[1]), environment={}, bound=True)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Child]:
    child = start("sleeper", SLEEP, logs=tmp_path, environment={}, bound=True)
    yield child
    stop([child])


def test_a_child_is_alive_until_it_is_stopped(sleeper: Child) -> None:
    wait_for(sleeper, lambda: sleeper.tail() == "up", seconds=10)
    assert sleeper.is_alive()
    stop([sleeper])
    assert not sleeper.is_alive()


def test_a_later_process_with_the_same_pid_is_not_touched(sleeper: Child) -> None:
    earlier = replace(sleeper, started=sleeper.started - 1)
    assert not earlier.is_alive()
    stop([earlier])
    assert sleeper.is_alive()


def test_a_bound_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", PARENT, str(tmp_path), *SLEEP]
    root = Path(__file__).resolve().parent.parent.parent
    with subprocess.Popen(
        arguments, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        held = os.pidfd_open(grandchild)
        ended = select.poll()
        ended.register(held, select.POLLIN)
        assert ended.poll(0) == []
        parent.kill()
        assert ended.poll(10_000), "the child outlived its parent"
        os.close(held)


def test_a_program_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = start(
        "broken", [sys.executable, "-c", "print('no such flag')"], logs=tmp_path, environment={}, bound=True
    )
    with pytest.raises(NotReadyError, match=r"broken ended; its log ends:\nno such flag"):
        wait_for(child, lambda: False, seconds=30)
    stop([child])


def test_a_program_that_never_answers_is_given_up(sleeper: Child) -> None:
    with pytest.raises(NotReadyError, match="sleeper did not answer within 0 s"):
        wait_for(sleeper, lambda: False, seconds=0.2)


def test_a_taken_port_is_given_to_nobody_else_and_can_be_listened_on() -> None:
    with Ports() as ports:
        taken = [ports.take() for _ in range(20)]
        others = [socket.create_server(("127.0.0.1", 0)) for _ in range(20)]
        assert not set(taken) & {each.getsockname()[1] for each in others}
        for each in others:
            each.close()
        with socket.create_server(("127.0.0.1", taken[0])) as server:
            assert server.getsockname()[1] == taken[0]


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(FileExistsError, match=r"rig\.py down"), Rig(tmp_path, None, {}):  # type: ignore[arg-type]
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_down_ends_what_the_record_names_and_removes_only_a_folder_with_a_record(
    tmp_path: Path, sleeper: Child
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    assert down(kept) == 0
    assert kept.exists()
    write_record(kept, [sleeper])
    assert read_record(kept) == [sleeper]
    assert down(kept) == 0
    assert not kept.exists()
    assert not sleeper.is_alive()


@pytest.mark.parametrize(
    ("major", "version"), [(17, "5.26.18"), (20, "5.26.18"), (21, "2026.09.0"), (25, "2026.09.0")]
)
def test_the_java_at_hand_chooses_the_neo4j(major: int, version: str) -> None:
    neo4j = next(part for part in parts(Java(Path("java"), major)) if part.name == "neo4j")
    assert neo4j.ingredients.startswith(version)


def test_an_old_java_is_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.rig.build.JAVA_HOMES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(ToolMissingError, match="java 17 or newer not found"):
        find_java({"JAVA_HOME": str(tmp_path)})


def test_a_missing_tool_is_named_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("git", "java"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="go not found: install Go"):
        require_tools(tmp_path / "cache", {})
