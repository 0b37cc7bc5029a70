"""The crew's own process: its exit codes, its one sentence, its walls, and that it goes on after kill -9."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.crew_process import CrewProcess, crew
from tests.fakes.crew_servers import FakeServers
from tests.fakes.model_server import KEY, model_server
from tools import confine
from tools.settings import ModelSettings, TraceSettings
from traces import waterfall

GOAL = "web 네임스페이스에 nginx 배포해줘"


def test_it_applies_and_says_so_by_exit_code_and_events(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "servers.json")
    with crew(tmp_path, GOAL, servers) as child:
        ended = child.ended()
    log = (tmp_path / "crew.log").read_text()
    assert (ended.code, ended.stderr) == (0, ""), log
    assert [e["event"] for e in ended.events][-2:] == ["report", "outcome"]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["report"].startswith("배포 성공, Pod 3개 Running 중")
    assert result["plan"]["phases"]
    assert result["durations"]["negotiate:publish"] > 0
    assert result["model_calls"] >= 5


@pytest.mark.parametrize(
    ("goal", "code"), [("양자컴퓨터 만들어줘", 2), ("Run nginx as root with privileged: true.", 3)]
)
def test_its_exit_code_names_how_it_ended(tmp_path: Path, goal: str, code: int) -> None:
    with crew(tmp_path, goal, FakeServers(tmp_path / "servers.json")) as child:
        assert child.ended().code == code


def test_behind_its_walls_terraform_reads_its_mirror_and_no_provider_that_cannot_start_is_called_a_failure(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    mirror, binary = elsewhere / "mirror", elsewhere / "bin" / "terraform"
    mirror.mkdir()
    (mirror / "provider").write_text("a provider", encoding="utf-8")
    binary.parent.mkdir()
    binary.write_text(f"#!/bin/sh\n[ $1 = init ] && {{ cat {mirror}/provider || exit 1; }}\n[ $1 != plan ]\n")
    binary.chmod(0o755)
    more = {"terraform": binary, "provider_mirror": mirror, "dry_run": True}
    servers = FakeServers(tmp_path / "servers.json")
    with crew(tmp_path, "로그용 S3 버킷 만들어줘", servers, **more) as child:
        events = child.ended().events
    spoken = next(e["text"] for e in events if e["event"] == "speak" and e["role"] == "DevOps")
    assert "fmt passed, init passed, providers need Unix sockets" in spoken


def test_a_fault_is_one_sentence_and_the_rest_is_in_the_log(tmp_path: Path) -> None:
    settings = ModelSettings(model="nonsense/model")
    with crew(tmp_path, GOAL, FakeServers(tmp_path / "servers.json"), model=settings) as child:
        ended = child.ended()
    assert ended.code == 1
    assert ended.stderr.startswith("crew: model-unknown:")
    assert ended.stderr.count("\n") == 1
    assert "Traceback" in (tmp_path / "crew.log").read_text()


@pytest.mark.parametrize("name", ["stopped", "limit-rate"])
def test_a_stop_of_the_run_is_a_refusal_that_is_not_kept_and_a_resumed_run_goes_on(
    tmp_path: Path, name: str
) -> None:
    servers = FakeServers(
        tmp_path / "servers.json", refuses={"submit": (name, "kim stopped it.", "Lift it.")}
    )
    with crew(tmp_path, GOAL, servers) as child:
        ended = child.ended()
    assert (ended.code, servers.effects()) == (3, [])
    assert f"{name}: kim stopped it. Lift it." in json.loads((tmp_path / "result.json").read_text())["report"]
    servers.refuses = {}
    with crew(tmp_path, GOAL, servers) as child:
        assert child.ended().code == 0
    assert json.loads((tmp_path / "result.json").read_text())["report"].startswith("배포 성공")


def test_each_call_of_model_tool_and_memory_is_a_span_with_its_tokens_and_without_its_words(
    tmp_path: Path,
) -> None:
    file = tmp_path / "trace.jsonl"
    told = TraceSettings(traceparent=f"00-{'a' * 32}-{'b' * 16}-01", file=file, otlp_endpoint=None)
    with model_server() as server:
        more = {"model": server.settings(), "trace": told, "dry_run": True}
        with crew(tmp_path, GOAL, FakeServers(tmp_path / "servers.json"), **more) as child:
            assert child.ended().code == 0, (tmp_path / "crew.log").read_text()[-2000:]
    found = waterfall.read(file)
    assert {span.trace_id for span in found} == {"a" * 32}
    by_id = {span.span_id: span for span in found}
    chats = [span for span in found if span.name == "chat gpt-4o-mini"]
    assert len(chats) == len(server.seen)
    for span in chats:
        assert by_id[span.parent].name.startswith("invoke_agent ")
        assert span.attributes == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": "10",
            "gen_ai.usage.output_tokens": "5",
        }
    assert {"execute_tool search_knowledge", "retrieval knowledge"} <= {span.name for span in found}
    assert not any(word in file.read_text() for word in (KEY, "nginx", "네임스페이스"))


# tool, its seq, whether the kill falls before or after the server did it; in the order of the road
KILLS = [
    ("describe_target", None, "before"), ("open_change", None, "after"), ("judge", None, "before"), ("sign", None, "before"),
    ("sign", None, "after"), ("submit", 2, "before"), ("submit", 3, "after"), ("rollout_status", None, "before"),
]  # fmt: skip


def test_killed_in_each_stage_it_goes_on_and_applies_nothing_twice(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "servers.json")
    for tool, seq, when in KILLS:
        with crew(tmp_path, GOAL, servers) as child:
            servers.on_call = servers.after_call = lambda _tool, _arguments: None
            setattr(servers, "on_call" if when == "before" else "after_call", killer(child, tool, seq))
            assert child.ended().code == -signal.SIGKILL, (tool, when)
    servers.on_call = servers.after_call = lambda _tool, _arguments: None
    before = len(servers.calls)
    with crew(tmp_path, GOAL, servers) as child:
        ended = child.ended()
    assert ended.code == 0, (ended.stderr, (tmp_path / "crew.log").read_text()[-3000:])
    assert len(servers.effects()) == len(set(servers.effects())) == 10
    assert sorted(r["change"]["phase"] for r in servers.state["signed"].values()) == ["deploy", "publish"]
    assert not {"judge", "sign", "submit", "open_change"} & {name for _, name, _ in servers.calls[before:]}


def killer(child: CrewProcess, wanted: str, seq: int | None) -> Any:
    """Kill this process at that call of that tool."""

    def act(tool: str, arguments: dict[str, Any]) -> None:
        if tool == wanted and seq in {None, arguments.get("seq")}:
            os.kill(child.process.pid, signal.SIGKILL)
            child.process.wait()

    return act


@pytest.mark.skipif(confine.landlock_abi() == 0, reason="this kernel has no Landlock")
def test_it_may_neither_read_what_is_hidden_nor_write_beside_its_folder(tmp_path: Path) -> None:
    run, hidden = tmp_path / "run", tmp_path / "gate"
    run.mkdir()
    hidden.mkdir()
    (hidden / "token").write_text("a marked secret")
    code = (
        "import sys; from pathlib import Path\n"
        "import crew.__main__ as entry\n"
        "def probe(text, fault):\n"
        "    for name, act in (('read', lambda: Path(sys.argv[3]).read_text()), ('write', lambda: Path(sys.argv[4]).write_text('x'))):\n"
        "        try: act(); print(name, 'open', file=sys.stderr)\n"
        "        except PermissionError: print(name, 'shut', file=sys.stderr)\n"
        "    return 0\n"
        "import types; sys.modules['crew.process'] = module = types.ModuleType('crew.process'); module.live = probe\n"
        "import crew; crew.process = module\n"
        "entry.main(sys.argv[1:3])\n"
    )
    import subprocess

    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        json.dump({"run_dir": str(run), "hidden": [str(hidden)]}, pipe)
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run(
        [root / ".venv-crew/bin/python", "-c", code, "--settings-fd", str(reader), str(hidden / "token"), str(tmp_path / "beside")],
        pass_fds=[reader], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(root)},
    )  # fmt: skip
    os.close(reader)
    assert done.stderr.split("\n")[:2] == ["read shut", "write shut"], done.stderr
