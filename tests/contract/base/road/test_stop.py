"""The kill switch as a person uses it: a run that goes on in another process ends refused, and goes on once it is lifted."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from tests.contract.base.road.test_road import COMMAND, countersign, environment

GOAL = "Deploy nginx with 3 replicas to namespace web on Kubernetes"


def test_a_stopped_run_is_refused_and_after_lifting_it_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "first.log"
    command = [*COMMAND, "run", GOAL, "--json", "--state-dir", str(tmp_path)]
    with log.open("w") as said:
        first = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=said, text=True
        )
        end = time.monotonic() + 200
        while "github.push_commit" not in log.read_text() and time.monotonic() < end:
            time.sleep(0.02)
        stopped = countersign("stop", "--reason", "the wrong cluster", "--json", folder=tmp_path)
        out, _ = first.communicate(timeout=200)
    assert json.loads(stopped.stdout)["run"] == "all"
    document = json.loads(out)
    assert (first.returncode, document["status"]) == (3, "refused"), log.read_text()
    assert "the wrong cluster" in document["report"]
    assert "countersign stop all --lift" in document["report"]
    again = countersign("run", "--resume", "last", "--json", folder=tmp_path)
    assert again.returncode == 3, again.stderr
    assert countersign("stop", "all", "--lift", folder=tmp_path).returncode == 0
    resumed = countersign("run", "--resume", "last", "--json", folder=tmp_path)
    document = json.loads(resumed.stdout)
    assert (resumed.returncode, document["status"]) == (0, "applied"), resumed.stderr
    verified = countersign("audit", "verify", "--json", folder=tmp_path)
    told = json.loads(verified.stdout)
    assert (verified.returncode, told["flaws"], len(told["witnesses"])) == (0, [], 1)
    first_bundle = document["journal"]["checkpoint"]
    (tmp_path / "kept.json").write_text(first_bundle)
    kept = countersign("audit", "verify", "--checkpoint", "kept.json", folder=tmp_path)
    assert kept.returncode == 0, kept.stdout
