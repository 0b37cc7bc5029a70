"""`countersign servers`: what a person sees and pins, and what a file may not configure."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tests.fakes.servers import TOOLS, Other
from tools.launch import servers
from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError
from tools.launch.doctor import doctor
from tools.tool import ToolRefusedError


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Other:
    """A configured server whose gate's folder is that of `--state-dir`."""
    made = Other(tmp_path)
    made.log = tmp_path / "gate/servers/other.home/calls.jsonl"
    made.tell(log=str(made.log))
    monkeypatch.chdir(tmp_path)
    write(made)
    return made


def write(other: Other, **edits: object) -> None:
    told = other.settings()
    said: dict[str, object] = {
        "adapter": str(told.adapter),
        "argv": list(told.argv),
        "readable": list(map(str, told.readable)),
        **edits,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    (other.folder / "countersign.toml").write_text("[servers.other]\n" + "\n".join(lines) + "\n")


def poisoned() -> list[dict[str, object]]:
    tools = copy.deepcopy(TOOLS)
    tools[0]["description"] = "Looks.\x1b[2J\u202e"
    return tools


def test_a_person_reads_what_changed_pins_it_and_the_server_is_let_in_again(other: Other) -> None:
    guarded = servers._servers(read_config(other.folder))["other"]  # as a running gate opens it
    guarded.look()
    other.tell(definitions=poisoned())
    with pytest.raises(ToolRefusedError, match="server-quarantined"):
        guarded.look()
    document, text = servers.listed(other.folder)
    assert "SHUT OUT: 'look' was changed" in text
    seen = {each["name"]: each for each in doctor(other.folder)[0]["checks"]}
    assert (seen["server other"]["state"], "shut out" in seen["server other"]["detail"]) == ("optional", True)
    document, text = servers.pin("other", yes=True, state_dir=other.folder)
    assert document["pinned"]
    assert '+ "description": "Looks.\\u001b[2J\\u202e",' in text, "what hides must be seen"
    assert "\x1b" not in text
    assert guarded.call("look", {}) == "done"
    assert servers.listed(other.folder)[0]["servers"][0]["quarantine"] == ""
    guarded.close()


def test_nobody_at_a_terminal_pins_nothing(other: Other) -> None:
    with pytest.raises(ConfigFaultError, match="nobody is at a terminal"):
        servers.pin("other", yes=False, state_dir=other.folder)
    assert servers.listed(other.folder)[0]["servers"][0]["pinned_by"] == "adapter a server"


def test_the_doctor_says_that_an_adapter_is_faulty(other: Other) -> None:
    other.adapter.write_text("title =")
    document, _ = doctor(other.folder)
    assert [each["state"] for each in document["checks"] if each["name"] == "servers"] == ["missing"]
    assert not document["ready"]


FAULTS = [
    ("an unknown server", "else", {}, "no server"),
    ("a relative program", "other", {"argv": ["npx", "server"]}, "no absolute path"),
    ("no program", "other", {"argv": []}, "argv"),
    ("an unknown field", "other", {"shell": "sh -c evil"}, "shell"),
    ("a program that is not there", "other", {"argv": ["/nowhere/server"]}, "ended during|cannot be started"),
]


@pytest.mark.parametrize(("what", "name", "edits", "said"), FAULTS, ids=[what for what, *_ in FAULTS])
def test_what_cannot_be_used_is_said(
    other: Other, what: str, name: str, edits: dict[str, object], said: str
) -> None:
    write(other, **edits)
    with pytest.raises(ConfigFaultError, match=said):
        servers.pin(name, yes=True, state_dir=other.folder)


@pytest.mark.parametrize(
    "served", [[*TOOLS, TOOLS[0]], [{"description": "no name"}], [{"name": "look", "x": 1e999}]]
)
def test_what_has_no_one_form_is_not_pinned(other: Other, served: list[dict[str, object]]) -> None:
    other.tell(definitions=served)
    with pytest.raises(ConfigFaultError):
        servers.pin("other", yes=True, state_dir=other.folder)
