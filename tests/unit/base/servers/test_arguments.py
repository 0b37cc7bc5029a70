"""One valid read, one edit per row: each is refused before the server sees it."""

from typing import Any

import pytest

from tests.fakes.gate import World
from tests.fakes.servers import GITHUB, KUBERNETES, counting, mounted
from tests.fakes.servers import ask as asked
from tools.gate.servers.arguments import check
from tools.tool import Role, ToolRefusedError

GOOD = {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": "web"}
WAYS_IN: list[tuple[str, dict[str, Any]]] = [
    ("an unknown argument", {"context": "production"}),
    ("a missing argument", {"name": None}),
    ("another type", {"name": 1}),
    ("a list for a text", {"name": ["web"]}),
    ("a truth for a text", {"name": True}),
    ("an oversized text", {"name": "a" * 1001}),
    ("an option", {"name": "--kubeconfig=/etc/passwd"}),
    ("a dash alone", {"name": "-"}),
    ("NUL", {"name": "web\0"}),
    ("a newline", {"name": "web\nkind: Secret"}),
    ("a carriage return", {"namespace": "web\r"}),
    ("an escape", {"name": "\x1b[2J"}),
    ("a mark that turns text around", {"name": "\u202ebew"}),
    ("a zero-width space", {"name": "we\u200bb"}),
    ("a path upwards", {"name": "../secrets/token"}),
    ("a path in the middle", {"name": "web/../../secrets/token"}),
    ("an escaped path", {"name": "web%2f..%2fsecrets"}),
    ("an escaped dot", {"name": "%2E%2E"}),
    ("an absolute path", {"name": "/api/v1/secrets"}),
    ("a home", {"name": "~/x"}),
    ("a backslash", {"name": "web\\..\\x"}),
    ("a query upwards", {"name": "web?/.."}),
    ("a Secret", {"kind": "Secret"}),
    ("a Secret in another case", {"kind": "secret"}),
    ("Secrets", {"kind": "Secrets"}),
    ("a list of Secrets", {"kind": "SecretList"}),
    ("a kind that holds a Secret", {"kind": "SealedSecret", "apiVersion": "bitnami.com/v1alpha1"}),
    ("an unknown group", {"apiVersion": "external-secrets.io/v1"}),
    ("the rights of others", {"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1"}),
]


@pytest.fixture
def world(tmp_path: Any) -> World:
    return World(tmp_path / "gate")


def test_the_valid_read_is_answered(world: World) -> None:
    upstream = counting(world, "k8s", KUBERNETES)
    assert asked(world, "sre", "k8s__resources_get", GOOD)["text"] == "done"
    assert upstream.calls == [("resources_get", GOOD)]


@pytest.mark.parametrize(("what", "edit"), WAYS_IN, ids=[what for what, _ in WAYS_IN])
def test_what_is_not_valid_is_refused_by_name(world: World, what: str, edit: dict[str, Any]) -> None:
    upstream = counting(world, "k8s", KUBERNETES)
    given = {name: value for name, value in (GOOD | edit).items() if value is not None}
    assert asked(world, "sre", "k8s__resources_get", given)["refused"] in {
        "arguments-refused",
        "argument-not-allowed",
    }
    assert upstream.calls == []


STRICT: list[tuple[str, dict[str, Any], Any]] = [
    ("true for 1", {"type": ["number", "boolean"], "enum": [1]}, True),
    ("1 for true", {"type": ["number", "boolean"], "enum": [True]}, 1),
    ("a type that nobody knows", {"type": "any"}, "x"),
    ("no type", {}, "x"),
    ("a keyword that nobody knows", {"type": "string", "anyOf": [{}]}, "x"),
    (
        "an unknown field of an object",
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"b": "x"},
    ),
    ("an option inside a list", {"type": "array", "items": {"type": "string"}}, ["-x"]),
    ("a number beyond what is exact", {"type": "number"}, 2**60),
    ("another pattern", {"type": "string", "pattern": "^[a-z]+$"}, "A"),
]


@pytest.mark.parametrize(("what", "schema", "value"), STRICT, ids=[what for what, *_ in STRICT])
def test_a_schema_is_read_strictly(what: str, schema: dict[str, Any], value: Any) -> None:
    with pytest.raises(ToolRefusedError):
        check("tool", {"type": "object", "properties": {"value": schema}}, {"value": value})


HERE = {"owner": "acme", "repo": "platform"}
OUTSIDE: list[tuple[str, str, dict[str, Any], str]] = [
    ("another repository", "list_commits", HERE | {"repo": "secrets"}, "outside-destination"),
    ("another owner", "list_commits", HERE | {"owner": "evil"}, "outside-destination"),
    ("no repository", "list_discussions", {"owner": "acme"}, "outside-destination"),
    ("an address of a log", "get_job_logs", HERE | {"job_id": 1}, "argument-not-allowed"),
    ("an address of a log, said", "get_job_logs", HERE | {"job_id": 1, "return_content": False}, "argument-not-allowed"),
    ("a number for true", "get_job_logs", HERE | {"job_id": 1, "return_content": 1}, "arguments-refused"),
    ("an address of an artifact", "actions_get", HERE | {"method": "download_workflow_run_artifact", "resource_id": "1"}, "not-allowed"),
    ("no method", "actions_get", HERE | {"resource_id": "1"}, "not-mapped"),
    ("an unknown method", "actions_get", HERE | {"method": "delete_everything", "resource_id": "1"}, "not-mapped"),
    ("a method that is a list", "actions_get", HERE | {"method": ["get_workflow"], "resource_id": "1"}, "not-mapped"),
    ("a page out of range", "list_commits", HERE | {"page": 0}, "arguments-refused"),
    ("too many a page", "list_commits", HERE | {"perPage": 101}, "arguments-refused"),
    ("a truth for a page", "list_commits", HERE | {"page": True}, "arguments-refused"),
    ("an unknown field", "list_commits", HERE | {"fields": ["sha", "token"]}, "arguments-refused"),
    ("a flood of fields", "list_commits", HERE | {"fields": ["sha"] * 201}, "arguments-refused"),
    ("a search", "search_code", {"query": "password"}, "not-allowed"),
    ("found secrets", "list_secret_scanning_alerts", HERE, "not-allowed"),
    ("the account itself", "get_me", {}, "not-allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "tool", "given", "name"), OUTSIDE, ids=[row[0] for row in OUTSIDE])
def test_a_read_stays_in_the_configured_repository(
    world: World, what: str, tool: str, given: dict[str, Any], name: str
) -> None:
    upstream = counting(world, "gh", GITHUB)
    assert asked(world, "security", f"gh__{tool}", given)["refused"] == name
    assert upstream.calls == []


def test_an_owner_in_another_case_is_the_same_owner(world: World) -> None:
    upstream = counting(world, "gh", GITHUB)
    given = {"owner": "ACME", "repo": "Platform", "return_content": True, "job_id": 7}
    assert asked(world, "sre", "gh__get_job_logs", given)["text"] == "done"
    assert upstream.calls == [("get_job_logs", given)]


@pytest.mark.parametrize("role", ["planner", "devops", "security", "sre"])
def test_a_role_calls_its_own_reads_and_no_others(world: World, role: str) -> None:
    upstream = counting(world, "k8s", KUBERNETES)
    answer = asked(world, role, "k8s__pods_log", {"name": "web", "namespace": "web"})
    assert answer.get("refused", "") == ("" if role == "sre" else "tool-not-granted")
    assert len(upstream.calls) == (role == "sre")


@pytest.mark.parametrize("role", ["person", "notary"])
def test_who_is_no_agent_has_none_of_them(world: World, role: str) -> None:
    counting(world, "k8s", KUBERNETES)
    assert [name for name in mounted(world, Role(role)).tools if "__" in name] == []
    assert asked(world, role, "k8s__resources_get", GOOD)["refused"] == "tool-not-granted"
