"""The launcher's own parts: goals that are none, configuration that cannot be used, the document, the diff for a person."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from rich.console import Console

from policies.change import Destination, Grant, RepositoryTarget
from policies.profile import load as load_profile
from tools.gate.words import RunRecord, ShownChange, ShownFile
from tools.launch import commands, config, document, folders, goal_text, verifying
from tools.launch.config import ConfigFaultError
from tools.launch.diff import change_lines
from tools.launch.goal_text import GoalFaultError
from tools.launch.show import ConsoleShow

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("가" * 400_000, "longer than"),
        ("a\x00b", "U\\+0000"),
        ("a\x1b[31mb", "U\\+001B"),
        ("a\u202eb", "U\\+202E"),
    ],
)
def test_a_text_that_can_be_no_goal_is_refused_in_a_sentence(goal: str, words: str) -> None:
    with pytest.raises(GoalFaultError, match=words):
        goal_text.check(goal)


def test_a_goal_keeps_its_words() -> None:
    assert goal_text.check(" 쿠버네티스에 nginx 3개\n") == "쿠버네티스에 nginx 3개"


def read(folder: Path, **chosen: str) -> config.Config:
    return config.read({"HOME": str(folder), "PATH": ""}, cwd=folder, state_dir=folder / "s", **chosen)


@pytest.mark.parametrize(
    ("toml", "chosen", "words"),
    [
        (
            "",
            {"profile": "nowhere"},
            "there is no profile 'nowhere'; known profiles: default, production, sandbox",
        ),
        ("", {"profile": "default"}, "none is configured"),
        ("", {"model": "gpt"}, "unknown model 'gpt'"),
        ("profile = 3", {}, "profile: Input should be a valid string"),
        ("[github]\nsecret = 1", {}, "github.secret: Extra inputs"),
        ("[[[", {}, "cannot be read"),
        ('[gate]\nurl = "http://127.0.0.1:1"', {}, "url and bearers belong together"),
        ('[gate]\nbearers = "b"', {}, "url and bearers belong together"),
        ('[gate]\nbearers = "b"\nurl = "http://gate.example:7070"', {}, "a bearer goes to"),
        ('[gate]\nbearers = "b"\nurl = "http://127.0.0.1.evil.example"', {}, "a bearer goes to"),
        ('[gate]\nbearers = "b"\nurl = "https://"', {}, "a bearer goes to"),
        ('[gate]\nbearers = "b"\nurl = "file:///x"', {}, "a bearer goes to"),
        ('[kubernetes]\nkind = "kubeconfig"', {}, "names a real target"),
    ],
)
def test_a_configuration_that_cannot_be_used_names_what_to_change(
    tmp_path: Path, toml: str, chosen: dict[str, str], words: str
) -> None:
    (tmp_path / "countersign.toml").write_text(toml)
    with pytest.raises(ConfigFaultError, match=words.replace("[", "\\[")):
        read(tmp_path, **chosen)


@pytest.mark.parametrize("name", ["default", "production", "sandbox"])
def test_each_profile_that_is_shipped_can_be_read(name: str) -> None:
    assert load_profile(ROOT / "policies" / "profiles" / f"{name}.toml").name == name


def test_the_default_is_a_rehearsal_with_the_offline_model(tmp_path: Path) -> None:
    chosen = read(tmp_path)
    assert chosen.rehearsal
    assert chosen.file.model.model == "offline"
    assert chosen.state_dir == tmp_path / "s" / "gate"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:7070", "http://localhost:7070/mcp", "https://gate.example/"]
)
def test_a_gate_elsewhere_is_as_real_as_the_profile(tmp_path: Path, url: str) -> None:
    (tmp_path / "countersign.toml").write_text(f'[gate]\nurl = "{url}"\nbearers = "b"\n')
    assert read(tmp_path).rehearsal
    real = read(tmp_path, profile="default")
    assert not real.rehearsal
    assert real.file.gate.url == url.removesuffix("/mcp").rstrip("/")


def record(status: str) -> RunRecord:
    return RunRecord.model_validate(
        {"run_id": "r", "status": status, "phases": [], "denials": [], "journal_head": "h"}
    )


@pytest.mark.parametrize(
    ("journal", "crew", "dry_run", "ended"),
    [
        ("applied", 0, False, "applied"),
        ("signed", 0, True, "signed"),
        ("signed", 0, False, "failed"),
        ("partial", 0, False, "failed"),
        ("failed", 0, False, "failed"),
        ("refused", 0, False, "refused"),
        ("nothing_signed", 0, False, "failed"),
        ("nothing_signed", 2, False, "not_understood"),
        ("nothing_signed", 3, False, "refused"),
        ("nothing_signed", 1, False, "failed"),
        ("applied", 1, False, "failed"),
        ("applied", 3, False, "refused"),
        ("partial", 2, False, "failed"),
        ("awaiting_review", 4, False, "waiting"),
        ("awaiting_review", 1, False, "failed"),
        ("awaiting_review", 0, False, "failed"),
        ("partial", 4, False, "failed"),
    ],
)
def test_the_crew_can_make_a_status_worse_and_never_better(
    journal: str, crew: int, dry_run: bool, ended: str
) -> None:
    assert document.status(record(journal), crew, dry_run=dry_run) == ended


def test_an_alarm_stands_in_the_document_and_is_shown(tmp_path: Path) -> None:
    alarm = {
        "rule": "gate/diverged", "rule_class": "state", "severity": "critical", "engine": "countersign", "path": "grant 1",
        "resource": "github.push_commit at api/acme", "message": "What was read back differs: tree", "why": "Somebody else.",
    }  # fmt: skip
    signoff = {"signoff": "sha256:" + "1" * 64, "change_id": "cs-" + "0" * 16, "phase": "publish", "state": "open",
               "expires": "2026-11-02T09:00:00Z", "grants": []}  # fmt: skip
    phase = {"name": "publish", "change_id": "cs-" + "0" * 16, "signoff": signoff, "manifest_digest": "sha256:" + "2" * 64,
             "findings": [alarm]}  # fmt: skip
    told = {
        "run_id": "20261102-090000-abcd",
        "dry_run": False,
        "goal": "g",
        "isolation": "none",
        "rehearsal": True,
        "trace_id": "",
    }
    spoken = RunRecord.model_validate(
        {"run_id": "r", "status": "failed", "phases": [phase], "denials": [], "journal_head": "h"}
    )
    built = document.build(run=told, crew={}, record=spoken, run_dir=tmp_path, crew_exit=1)
    assert [a["rule"] for p in built["phases"] for a in p["alarms"]] == ["gate/diverged"]
    folder = tmp_path / "runs" / str(told["run_id"])
    folder.mkdir(parents=True)
    folders.write_json(folder / "run.json", told)
    folders.write_json(folder / "document.json", built)
    assert (
        "ALARM gate/diverged: github.push_commit at api/acme: What was read back differs: tree"
        in commands.show("last", tmp_path)[1]
    )


def test_without_the_gates_word_nothing_was_applied() -> None:
    assert document.status(None, 0, dry_run=False) == "failed"


def test_the_person_sees_every_call_and_every_line() -> None:
    place = RepositoryTarget(
        host="api.example",
        repository_id=7,
        full_name="acme/platform",
        clone_url="u",
        base_branch="main",
        base_commit="a" * 40,
    )
    change = ShownChange(
        signoff="sha256:" + "1" * 64,
        phase="publish",
        destination=Destination(repository=place),
        grants=(
            Grant(seq=1, server="github", verb="push_commit", arguments={"branch": "b"}, effect_key="k"),
        ),
        files=(
            ShownFile(path="a.yaml", operation="modify", before=b"b2xkCnNhbWUK", after=b"bmV3CnNhbWUK"),
            ShownFile(path="b.bin", operation="add", after=b"/w=="),
            ShownFile(path="empty", operation="add", after=b""),
            ShownFile(
                path="ends.txt", operation="modify", before=b64encode(b"a\n"), after=b64encode(b"a\r\n")
            ),
            ShownFile(path="hides.tf", operation="add", after=b64encode("x\x1b[8m\u202ey\u2028z".encode())),
        ),
        bundle="",
        manifest=b"",
    )
    shown = "\n".join(change_lines(change))
    for words in (
        "acme/platform (api.example, id 7), main at " + "a" * 40,
        'github.push_commit {"branch": "b"}',
        "-old",
        "+new",
        "b.bin is not text",
        "add empty sha256:e3b0",
        "+a\\u{d}",
        "+x\\u{1b}[8m\\u{202e}y\\u{2028}z",
    ):
        assert words in shown


def test_nobody_at_a_terminal_is_a_no_and_words_cannot_move_the_cursor() -> None:
    out = io.StringIO()
    show = ConsoleShow(Console(file=out, force_terminal=False, width=200), None)
    assert not show.ask("Do this?")
    show.event({"event": "speak", "role": "DevOps", "text": "\x1b[2Jhello [red]x[/]"})
    assert "\x1b" not in out.getvalue()
    assert "hello [red]x[/]" in out.getvalue()


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yess\n", "y y\n"])
def test_anything_but_yes_is_no(answer: str) -> None:
    assert not ConsoleShow(Console(file=io.StringIO()), io.StringIO(answer)).ask("?")


def test_a_plan_is_shown_a_line_for_each_step_with_its_citations_under_it() -> None:
    out = io.StringIO()
    step = {"blueprint": "web-app", "reason": "“Nginx”", "citations": ["blueprint:web-app", "run:1: met [x]"]}
    event = {"event": "plan", "phases": ["publish", "deploy"], "steps": [step]}
    ConsoleShow(Console(file=out, force_terminal=False, width=200), None).event(event)
    assert out.getvalue().splitlines() == [
        "plan: publish, deploy",
        "  web-app: “Nginx”",
        "    cites blueprint:web-app",
        "    cites run:1: met [x]",
    ]


def test_a_sign_off_that_is_not_there_is_bad_usage_and_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "trust.json").write_text('{"keys": []}', encoding="utf-8")
    with pytest.raises(ConfigFaultError, match="there is no file"):
        verifying.verify(tmp_path / "nowhere", None)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigFaultError, match="--state-dir"):
        folders.private(tmp_path / "file" / "below")


def test_a_run_is_found_by_a_unique_beginning(tmp_path: Path) -> None:
    for name in ("20260101-000000-aaaa", "20260101-000000-abbb"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    assert folders.find_run(tmp_path, "last").name.endswith("abbb")
    assert folders.find_run(tmp_path, "20260101-000000-aa").name.endswith("aaaa")
    for wanted in ("20260101", "x", ""):
        with pytest.raises(ConfigFaultError):
            folders.find_run(tmp_path, wanted)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", ""], 2, "the goal is empty"),
        (["run", "nginx", "--lang", "fr"], 2, "--lang is ko or en"),
        (["run", "nginx", "--profile", "nowhere"], 2, "there is no profile"),
        (["show", "nothing"], 2, "there is no run"),
        (["verify", "missing.json"], 2, "trust file"),
        (["drift"], 2, "there is no journal"),
        (["serve", "webhooks"], 2, "needs --port"),
        (["serve", "vault"], 2, "there is no server 'vault'"),
        (["init"], 2, "nobody is at a terminal"),
        (["bogus"], 2, "No such command"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_2(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "status", "words"),
    [
        (["run", "nginx", "--lang", "fr"], 2, "failed", "--lang is ko or en"),
        (["run", "nginx", "--model", "gpt"], 2, "failed", "unknown model"),
        (["show", "nowhere"], 2, "failed", "there is no run"),
        (["runs", "--bogus"], 2, "failed", "No such option"),
    ],
)
def test_with_json_a_fault_is_one_document_as_well(
    tmp_path: Path, arguments: list[str], code: int, status: str, words: str
) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, str(ROOT / "main.py"), *arguments, "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert (done.returncode, document["exit_code"], document["status"]) == (code, code, status)
    assert words in document["error"]


def test_json_is_one_document_on_stdout(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "main.py"), "runs", "--json", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"runs": []}


@pytest.mark.parametrize("arguments", [["drift"], ["serve", "webhooks", "--port", "18473"]])
def test_what_belongs_to_the_gates_machine_says_so(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "countersign.toml").write_text('[gate]\nurl = "http://127.0.0.1:1"\nbearers = "b"\n')
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "there" in done.stderr) == (2, True), done.stderr
    assert "the gate stands at http://127.0.0.1:1" in done.stderr
