"""The inventory reads the target through read tools, names each source, and says what it could not read."""

from collections.abc import Mapping
from typing import Any

from knowledge import inventory, schema
from policies.change import ClusterTarget, Destination, RepositoryTarget

DESTINATION = Destination(
    repository=RepositoryTarget(
        host="localhost",
        repository_id=7,
        full_name="acme/platform",
        clone_url="http://localhost/acme/platform.git",
        base_branch="main",
        base_commit="a" * 40,
    ),
    cluster=ClusterTarget(uid="uid-1", server="http://localhost", namespaces=("web",)),
)
MAIN_TF = 'resource "aws_s3_bucket" "logs" {\n}\n\nmodule "net" {\n}\n'
DENY = {
    "metadata": {"name": "deny", "namespace": "web"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
SOME = {
    "metadata": {"name": "some", "namespace": "web"},
    "spec": {"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Ingress"]},
}
ADMIN = {
    "metadata": {"name": "ops"},
    "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "Group", "name": "ops"}],
}


class Target:
    """A target whose RBAC may not be read."""

    def __call__(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if tool == "list_repository_files":
            return {"paths": ["infra/main.tf", "README.md"]}
        if tool == "read_repository_file":
            return {"text": MAIN_TF}
        if tool == "list_namespaces":
            return {
                "items": [
                    {
                        "metadata": {
                            "name": "web",
                            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                        }
                    }
                ]
            }
        if arguments["kind"] == "RoleBinding":
            raise LookupError("forbidden")
        found = {"NetworkPolicy": [DENY, SOME], "ClusterRoleBinding": [ADMIN]}
        return {"items": found.get(arguments["kind"], [])}


def test_everything_found_has_a_source_and_a_sentence() -> None:
    found = inventory.take(Target(), DESTINATION)
    by_key = {item.key: item for item in found.items}
    assert by_key["terraform resource//aws_s3_bucket.logs"].source == "infra/main.tf:1"
    assert by_key["terraform module//net"].source == "infra/main.tf:4"
    assert "restricted" in by_key["Namespace//web"].summary
    assert by_key["ClusterRoleBinding//ops"].rule
    assert [item.name for item in found.items if inventory.shuts(item, "web")] == ["deny"]
    assert not any(inventory.shuts(item, "other") for item in found.items)


def test_what_cannot_be_read_is_named() -> None:
    assert inventory.take(Target(), DESTINATION).gaps == ("RoleBinding: forbidden",)


def test_nothing_is_asked_of_a_target_that_is_absent() -> None:
    class Deaf:
        def __call__(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            raise AssertionError(tool)

    assert inventory.take(Deaf(), Destination()).items == ()


def test_text_of_others_reaches_the_graph_only_as_parameters() -> None:
    evil = "x'}) DETACH DELETE n //"
    item = inventory.Item(kind="Deployment", name=evil, namespace=evil, summary=evil, source=evil)
    written = list(inventory.statements(inventory.Inventory(destination=DESTINATION, items=(item,))))
    assert any(evil in str(statement.parameters) for statement in written)
    assert not any("DETACH" in statement.cypher for statement in written)


def test_a_label_or_link_that_is_not_ours_is_refused() -> None:
    for attempt in (
        lambda: schema.nodes("Secret", []),
        lambda: schema.links("OWNS", "Run", "Goal", []),
        lambda: schema.links("ASKED", "Run) DELETE (x", "Goal", []),
    ):
        try:
            attempt()
        except KeyError:
            continue
        raise AssertionError("accepted")
