"""Run by the trusted environment: put files (JSON on stdin) on main of a rehearsal GitHub, dispatch plan, then apply."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT))

from tests.fakes.rehearsal_github import Served, served  # noqa: E402

WORKFLOW = "/actions/workflows/terraform.yml/dispatches"


def _run(hub: Served, inputs: dict[str, str]) -> dict[str, Any]:
    before = hub.ask("GET", "/actions/runs")[1]["total_count"]
    status, answer = hub.ask("POST", WORKFLOW, {"ref": "main", "inputs": inputs})
    if status >= 300:
        raise SystemExit(f"the dispatch was refused: {answer}")
    runs = hub.ask("GET", "/actions/runs")[1]["workflow_runs"]
    if len(runs) != before + 1:
        raise SystemExit(f"{len(runs) - before} runs started")
    run = hub.settled(runs[0]["id"], seconds=300)
    files = _artifact(hub, run["id"])
    known = {
        "id": run["id"],
        "title": run["display_title"],
        "conclusion": run["conclusion"],
        "log": hub.log(run["id"])[-4000:],
    }
    return {
        **known,
        "steps": hub.steps(run["id"]),
        "artifact": sorted(files),
        "sha256": files.get("plan.sha256", b"").decode().strip(),
    }


def _artifact(hub: Served, run: int) -> dict[str, bytes]:
    listed = hub.ask("GET", f"/actions/runs/{run}/artifacts")[1]["artifacts"]
    if not listed:
        return {}
    data = hub.github.hub.state / "artifacts" / f"{listed[0]['id']}.zip"
    with zipfile.ZipFile(io.BytesIO(data.read_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def main() -> None:
    """`terraform` and `mirror` may be null."""
    asked = json.load(sys.stdin)
    paths = {name: Path(asked[name]) if asked[name] else None for name in ("terraform", "mirror")}
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), **paths) as hub:
        commit = hub.commit(asked["files"])
        base = {"change_id": "cs-0123456789abcdef", "commit": commit}
        plan = _run(hub, {**base, "mode": "plan"})
        digest = plan["sha256"] or "rehearsed"
        apply = {**base, "mode": "apply", "plan_run_id": str(plan["id"]), "plan_sha256": digest}
        answers = {
            "plan": plan,
            "apply": _run(hub, apply),
            "another_plan": _run(hub, {**apply, "plan_sha256": "0" * 64}),
            "another_commit": _run(hub, {**apply, "commit": "0" * 40}),
        }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
