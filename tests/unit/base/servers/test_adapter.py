"""Both adapters map every tool of their server; what a file leaves open is a fault, not a way in."""

from pathlib import Path

import pytest

from tests.fakes.servers import GITHUB, KUBERNETES, example
from tools.gate.servers import adapter
from tools.gate.servers.adapter import AdapterFaultError, Does, Reads
from tools.gate.servers.arguments import check

WRITES = {
    "actions_run_trigger", "add_comment_to_pending_review", "add_issue_comment", "add_reply_to_pull_request_comment",
    "assign_copilot_to_issue", "assign_copilot_to_issue_with_intent", "create_branch", "create_gist", "create_or_update_file",
    "create_pull_request", "create_repository", "delete_file", "discussion_comment_write", "dismiss_notification",
    "fork_repository", "issue_write", "label_write", "manage_notification_subscription",
    "manage_repository_notification_subscription", "mark_all_notifications_read", "merge_pull_request", "projects_write",
    "pull_request_review_write", "push_files", "request_copilot_review", "star_repository", "sub_issue_write",
    "unstar_repository", "update_gist", "update_pull_request", "update_pull_request_branch",
}  # fmt: skip
CHANGES = {
    "pods_delete", "pods_exec", "pods_run", "resources_create_or_update", "resources_delete", "resources_scale", "helm_install",
    "helm_uninstall", "kiali_manage_istio_config", "tekton_pipeline_start", "tekton_pipelinerun_lifecycle", "tekton_task_start",
    "tekton_taskrun_restart", "vm_clone", "vm_create", "vm_create_from_template", "vm_lifecycle",
}  # fmt: skip
BOTH = pytest.mark.parametrize("adapted", [GITHUB, KUBERNETES], ids=["github", "kubernetes"])


def test_the_github_adapter_speaks_of_85_tools_of_which_31_write() -> None:
    hints = {name: each["annotations"] for name, each in GITHUB.pins.definitions.items()}
    assert len(hints) == 85
    assert {name for name, hint in hints.items() if not hint.get("readOnlyHint")} == WRITES
    assert len(WRITES) == 31


def test_the_kubernetes_adapter_speaks_of_51_tools_of_which_17_change_something() -> None:
    hints = {name: each["annotations"] for name, each in KUBERNETES.pins.definitions.items()}
    assert len(hints) == 51
    assert {name for name, hint in hints.items() if not hint.get("readOnlyHint")} == CHANGES


@BOTH
def test_every_tool_and_every_case_is_mapped(adapted: adapter.Adapter) -> None:
    assert [tool for tool in adapted.pins.definitions if not adapted.keys_of(tool)] == []
    for tool, switch in adapted.file.switch.items():
        cases = adapted.pins.schema(tool)["properties"][switch]["enum"]
        assert {f"{tool}.{case}" for case in cases} == set(adapted.keys_of(tool))


@BOTH
def test_nothing_that_writes_is_a_read_whatever_the_server_hints(adapted: adapter.Adapter) -> None:
    reads = {key.partition(".")[0] for key, rule in adapted.rules.items() if isinstance(rule, Reads)}
    assert reads & (WRITES | CHANGES) == set()


@BOTH
def test_the_schema_of_every_read_is_understood_whole(adapted: adapter.Adapter) -> None:
    for key, rule in adapted.rules.items():
        if isinstance(rule, Reads):
            tool = key.partition(".")[0]
            schema = adapted.pins.schema(tool)
            every = {name: example(inner) for name, inner in schema.get("properties", {}).items()}
            every = {
                name: value for name, value in every.items() if "pattern" not in schema["properties"][name]
            }
            check(tool, schema, every)


def test_a_verb_is_asked_with_arguments_that_its_tool_has() -> None:
    for adapted in (GITHUB, KUBERNETES):
        for does in adapted.file.does:
            known = set(adapted.pins.schema(does.tool.partition(".")[0])["properties"])
            assert set(does.asked) <= known
            assert does.sent is None or set(does.sent) <= known


def test_a_merge_that_names_no_commit_is_nothing() -> None:
    assert isinstance(GITHUB.rules["merge_pull_request"], str)
    assert {rule.verb for rule in GITHUB.rules.values() if isinstance(rule, Does)} == {
        "github.push_commit", "github.open_pull_request", "github.request_reviewers", "github.dispatch_workflow", "github.comment",
    }  # fmt: skip


HEAD = 'title = "t"\nserver = { name = "n" }\ndefinitions = "d.json"\npins = "whole"\n'
READ = '[[read]]\nroles = ["sre"]\ntools = ["look"]\n'
DOES = '[[does]]\ntool = "look"\nverb = "kubernetes.apply"\nasked = {}\n'
SAME = '[same]\ntool = "look"\narguments = {}\nholds = "{cluster_uid}"\n'
FAULTS = [
    ("no toml", "title ="),
    ("an unknown field", HEAD + 'allow = ["look"]'),
    ("an unknown role", HEAD + READ.replace("sre", "root")),
    ("a read for nobody", HEAD + READ.replace('"sre"', "")),
    ("mapped twice", HEAD + READ + READ),
    ("both read and nothing", HEAD + READ + '[nothing]\nlook = "no"'),
    ("a tool that was not pinned", HEAD + READ.replace("look", "other")),
    ("a case of a tool without a switch", HEAD + READ.replace("look", "look.get")),
    ("no case of a tool with a switch", HEAD + 'switch = { look = "name" }\n' + READ),
    ("a limit on an argument that is not there", HEAD + READ + "arguments.kind = { one_of = ['Pod'] }"),
    ("a read that cannot be bound", HEAD + 'arguments.owner = { bound = "owner" }\n' + READ),
    ("a verb of nobody", HEAD + '[[does]]\ntool = "look"\nverb = "cloud.make"\nasked = {}'),
    ("a verb without a target", HEAD + READ + DOES),
    ("a target that no read shows", HEAD + DOES + SAME),
    (
        "a target that is no word",
        HEAD + READ.replace("look", "see") + DOES + SAME.replace("cluster_uid", "title"),
    ),
    ("an unknown kind of pin", HEAD.replace("whole", "first-use") + READ),
    ("no definitions", HEAD.replace("d.json", "e.json") + READ),
]


@pytest.mark.parametrize(("what", "text"), FAULTS, ids=[what for what, _ in FAULTS])
def test_a_faulty_adapter_is_no_adapter(tmp_path: Path, what: str, text: str) -> None:
    schema = '"inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}}'
    definitions = f'[{{"name": "look", {schema}}}, {{"name": "see", {schema}}}]'
    (tmp_path / "d.json").write_text(definitions)
    path = tmp_path / "a.toml"
    path.write_text(HEAD + READ)
    adapter.load(path)
    path.write_text(text)
    with pytest.raises(AdapterFaultError):
        adapter.load(path)
