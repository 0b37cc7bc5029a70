"""What import-linter cannot see: the launcher's own imports, where the environment is read, what each environment holds."""

import ast
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("crew", "tools", "knowledge", "policies", "traces")
EDGES = {
    "main.py",
    "tools/launch/commands.py",
    "tools/launch/groups.py",
    "tools/launch/run.py",
    "tools/launch/doctor.py",
    "tools/launch/processes.py",
    "tools/launch/setting_up.py",
    "tools/launch/serving.py",
    "tools/launch/rehearsal.py",
    "tools/environments.py",
    "tools/confine.py",
    "crew/__main__.py",
    "knowledge/embedded.py",
    "policies/scanner/__main__.py",
}
FRAMEWORKS = (
    "crewai",
    "autogen",
    "litellm",
    "openai",
    "anthropic",
    "llama-index",
    "langchain",
    "dbos",
    "neo4j",
)


def sources() -> list[Path]:
    return [ROOT / "main.py", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_the_launcher_imports_its_own_parts_and_nothing_of_the_crew() -> None:
    own = {name for name in imported(ROOT / "main.py") if name.split(".")[0] in ROOMS}
    assert {name for name in own if not name.startswith("tools.launch")} == set()


def test_nobody_imports_the_launcher() -> None:
    assert [p for p in sources() if "main" in imported(p)] == []


def test_only_the_edge_of_a_process_reads_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in sources()
        if any(
            isinstance(node, ast.Attribute)
            and node.attr in {"environ", "getenv"}
            and ast.unparse(node.value) == "os"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert readers <= EDGES, f"settings are handed in; these read the environment: {sorted(readers - EDGES)}"


LAST_RESORTS = {"tools/serve.py"}
"""Where a fault of ours must end one call and not the process that holds the journal: it is answered as a fault."""


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_fault_is_swallowed_by_a_broad_handler(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = "everything" if node.type is None else ast.unparse(node.type)
            broad = caught in {"everything", "Exception"}
            assert not broad or str(path.relative_to(ROOT)) in LAST_RESORTS, f"{path}:{node.lineno}"


def test_the_trusted_environment_is_small_and_holds_no_framework() -> None:
    installed = {dist.metadata["Name"].lower() for dist in metadata.distributions(path=[_site()])}
    assert len(installed) <= 75, sorted(installed)
    assert [name for name in installed if name.startswith(FRAMEWORKS)] == []


def _site() -> str:
    return str(next((ROOT / ".venv" / "lib").glob("python3*/site-packages")))


def test_every_dependency_has_a_lower_bound_and_the_lock_no_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    bare = [line for group in groups for line in group if ">=" not in line and not line.startswith("types-")]
    assert bare == []
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--index-url" not in text, path
        assert "http" + "s://" not in text, path
