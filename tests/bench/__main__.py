"""`make bench`: medians with CPU seconds beside them, and a calibration loop, since a machine's speed drifts.

.venv/bin/python -m tests.bench [run] [help] [scan] [gate] [imports] [packages]
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
GOALS = {
    "goal 1": "AWS EKS 클러스터에 Nginx 배포하고 ArgoCD로 관리해줘.",
    "goal 2": "쿠버네티스의 web 네임스페이스에 nginx 파드 3개 배포해줘",
}


def calibration() -> float:
    """Seconds for a fixed amount of hashing: compare it between two printouts before their times."""
    start = time.perf_counter()
    data = b"countersign"
    for _ in range(200_000):
        data = hashlib.sha256(data).digest()
    return time.perf_counter() - start


def timed(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Medians of wall seconds and of CPU seconds, children included."""
    walls, cpus = [], []
    for _ in range(runs):
        before, start = _cpu(), time.perf_counter()
        work()
        walls.append(time.perf_counter() - start)
        cpus.append(_cpu() - before)
    return statistics.median(walls), statistics.median(cpus)


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def say(what: str, figure: str) -> None:
    print(f"{what:58} {figure}", flush=True)


def help_() -> None:
    wall, cpu = timed(
        lambda: subprocess.run([PYTHON, ROOT / "main.py", "--help"], check=True, capture_output=True), 7
    )
    say("countersign --help", f"{wall:.2f} s, {cpu:.2f} CPU s (aim 0.3)")


def imports() -> None:
    for env, module in (
        (".venv", "mcp"),
        (".venv", "kubernetes"),
        (".venv", "tools.gate.server"),
        (".venv", "tools.notary.server"),
        (".venv-crew", "crewai"),
        (".venv-crew", "llama_index.core"),
        (".venv-scanner", "checkov.terraform.runner"),
    ):
        command = [ROOT / env / "bin" / "python", "-c", f"import {module}"]
        bare, _ = timed(
            lambda env=env: subprocess.run([ROOT / env / "bin" / "python", "-c", ""], check=True), 3
        )
        wall, cpu = timed(
            lambda command=command: subprocess.run(command, check=False, capture_output=True, cwd=ROOT), 3
        )
        say(f"import {module} ({env})", f"{max(wall - bare, 0):.2f} s, {cpu:.2f} CPU s")


def run() -> None:
    for name, goal in GOALS.items():
        signed, ended, cpu = [], [], []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                before, start = _cpu(), time.perf_counter()
                command = [PYTHON, ROOT / "main.py", "run", goal, "--json", "--state-dir", folder]
                environment = {
                    key: value for key, value in os.environ.items() if key != "COUNTERSIGN_PROVIDER_MIRROR"
                }
                environment["PATH"] = _without_terraform(environment["PATH"])
                done = subprocess.run(
                    command, check=False, capture_output=True, text=True, cwd=folder, env=environment
                )
                ended.append(time.perf_counter() - start)
                cpu.append(_cpu() - before)
                document = json.loads(done.stdout)
                if document["status"] != "applied":
                    say(f"{name}: NOT APPLIED", document["status"])
                    return
                signed.append(float(document["durations"].get("to_first_signoff", 0)))
        say(f"{name}: to the first sign-off, new process", f"{statistics.median(signed):.1f} s (aim 3)")
        say(
            f"{name}: to the end, prompt back",
            f"{statistics.median(ended):.1f} s, {statistics.median(cpu):.1f} CPU s (aim 6)",
        )


def _without_terraform(path: str) -> str:
    return os.pathsep.join(p for p in path.split(os.pathsep) if not (Path(p) / "terraform").exists())


def scan() -> None:
    sys.path.insert(0, str(ROOT))
    from policies.apart import scan_apart
    from policies.scan import ScanContext
    from policies.scanner.client import ScannerProcess, scanner_command

    source = ROOT / "tests" / "data" / "bench"
    tree = {str(p.relative_to(source)): p.read_bytes() for p in sorted(source.rglob("*")) if p.is_file()}
    with ScannerProcess(scanner_command(ROOT / ".venv-scanner" / "bin" / "python")) as process:
        scan_apart(tree, frozenset(tree), context=ScanContext(), process=process)
        ours, cpu = timed(
            lambda: scan_apart(tree, frozenset(tree), context=ScanContext(), process=process), 9
        )
    cli = [ROOT / ".venv-scanner" / "bin" / "checkov", "-d", source, "--quiet", "--compact", "-o", "json"]
    theirs, cli_cpu = timed(lambda: subprocess.run(cli, check=False, capture_output=True), 3)
    say(f"scan of {len(tree)} files, every engine, warm worker", f"{ours * 1000:.0f} ms, {cpu:.2f} CPU s")
    say(
        "checkov's command line on the same folder",
        f"{theirs:.2f} s, {cli_cpu:.2f} CPU s: {theirs / ours:.0f} times (aim 10)",
    )


def gate() -> None:
    sys.path.insert(0, str(ROOT))
    from tests.bench import gate as gates

    gated, bare = gates.read()
    say(
        "a read over a pipe, through the gate",
        f"{gated:.2f} ms, from a bare MCP server {bare:.2f} ms (aim +1)",
    )
    for name, files, entries, run_id in gates.ROWS:
        first, median, slow = gates.mutation(files, entries, run_id)
        say(
            f"gate's own work on a mutation, {name}",
            f"{median:.2f} ms, p99 {slow:.1f}, first {first:.0f} (aim 2.5, p99 10)",
        )


def packages() -> None:
    for env in (".venv", ".venv-crew", ".venv-scanner", ".venv-dev"):
        site = next((ROOT / env / "lib").glob("python3*/site-packages"), None)
        if site is not None:
            names = {dist.metadata["Name"] for dist in metadata.distributions(path=[str(site)])}
            size = sum(p.stat().st_size for p in site.rglob("*") if p.is_file() and not p.is_symlink())
            say(f"packages in {env}", f"{len(names)}, {size / 1e6:.0f} MB")


PARTS = {"help": help_, "imports": imports, "packages": packages, "scan": scan, "gate": gate, "run": run}


def main(chosen: list[str]) -> int:
    say(
        "machine",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
    )
    for name in chosen or PARTS:
        if name not in PARTS:
            print(f"unknown part {name}; parts are {', '.join(PARTS)}", file=sys.stderr)
            return 2
        say("calibration loop", f"{calibration():.3f} s")
        PARTS[name]()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
