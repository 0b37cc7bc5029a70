"""A workflow that starts really runs: its steps are confined children with real logs, and what did not happen is said."""

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.rehearsal_github import Served, served
from tools.confine import isolation
from tools.sandbox.github.records import Job, Run

confined = pytest.mark.skipif(
    isolation() == "none", reason="this platform offers no confinement: steps are rehearsed"
)
HEAD = "on: {workflow_dispatch: {inputs: {change_id: {}, mode: {default: plan}}}}\nrun-name: go ${{ inputs.mode }} ${{ inputs.change_id }}\n"


def workflow(steps: str, jobs: str = "") -> str:
    body = "\n".join(f"      {line}" for line in steps.strip().splitlines())
    return f"name: go\n{HEAD}jobs:\n  a:\n    runs-on: x\n    steps:\n{body}\n{jobs}"


def ran(hub: Served, text: str, inputs: dict[str, str] | None = None) -> Any:
    hub.commit({".github/workflows/go.yml": text})
    asked = {"ref": "main", "inputs": inputs or {}, "return_run_details": True}
    status, body = hub.ask("POST", "/actions/workflows/go.yml/dispatches", asked)
    assert status == 200, body
    return hub.settled(body["workflow_run_id"])


@confined
def test_steps_run_in_order_and_pass_on_what_they_say(hub: Served) -> None:
    run = ran(
        hub,
        workflow(
            """
- id: one
  run: |
    echo "word=hello there" >> "$GITHUB_OUTPUT"
    printf 'block<<END\\nl1\\nl2\\nEND\\n' >> "$GITHUB_OUTPUT"
    echo "LATER=yes" >> "$GITHUB_ENV"
- name: Says ${{ steps.one.outputs.word }}
  env: {MINE: "${{ steps.one.outputs.block }}"}
  run: test "$MINE" = "$(printf 'l1\\nl2')" && test "$LATER" = yes && test "$GITHUB_SHA" = "${{ github.sha }}"
- {shell: bash, run: 'false | true; echo not reached'}
- {if: failure(), name: On failure, run: echo it failed}
- {name: Skipped, run: echo no}
- {if: always(), name: Always, run: echo always}
"""
        ),
        {"change_id": "cs-1"},
    )
    assert (run["conclusion"], run["display_title"], run["event"]) == (
        "failure",
        "go plan cs-1",
        "workflow_dispatch",
    )
    assert list(hub.steps(run["id"]).values()) == [
        "success",
        "success",
        "failure",
        "success",
        "skipped",
        "success",
    ]
    assert "not reached" not in hub.log(run["id"])
    assert "Process completed with exit code 1" in hub.log(run["id"])


OUTSIDE = [
    ("write outside", 'echo x > "$TARGET/planted"', "Permission denied"),
    ("read the token", 'cat "$TARGET/token"', "Permission denied"),
    ("read the records", 'cat "$TARGET/github/github.sqlite"', "Permission denied"),
    ("write the repository", 'echo x > "$TARGET/github/repository.git/HEAD"', "Permission denied"),
    ("reach the network", "exec 3<>/dev/tcp/127.0.0.1/${PORT}", "not permitted"),
]


@confined
@pytest.mark.parametrize(("what", "script", "words"), OUTSIDE, ids=[row[0] for row in OUTSIDE])
def test_a_step_cannot(hub: Served, what: str, script: str, words: str) -> None:
    target, port = hub.github.hub.state.parent, hub.github.hub.origin.rpartition(":")[2]
    run = ran(hub, workflow(f"- env: {{TARGET: {target}, PORT: '{port}'}}\n  run: {script}"))
    assert run["conclusion"] == "failure"
    assert words in hub.log(run["id"])
    assert not (target / "planted").exists()


@confined
def test_a_step_sees_none_of_the_sandboxs_environment(hub: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_PERSON", "hunter2")
    run = ran(hub, workflow("- run: env"))
    assert "hunter2" not in hub.log(run["id"])
    assert run["conclusion"] == "success"


@confined
def test_checkout_is_the_commit_and_artifacts_travel_between_jobs_and_runs(hub: Served) -> None:
    second = """
  b:
    needs: a
    runs-on: x
    steps:
      - uses: actions/download-artifact@v4
        with: {name: kept, path: got}
      - run: test "$(cat got/sub/file)" = data && test ! -e got/link && test "${{ needs.a.outputs.said }}" = word
"""
    text = workflow(
        """
- uses: actions/checkout@0000000000000000000000000000000000000000
  with: {persist-credentials: false}
- id: s
  run: |
    test -f README.md && test "$(git -c safe.directory='*' rev-parse HEAD)" = "$GITHUB_SHA"
    mkdir -p out/sub && echo data > out/sub/file && ln -s /etc/passwd out/link
    echo said=word >> "$GITHUB_OUTPUT"
- uses: actions/upload-artifact@v4
  with: {name: kept, path: out, if-no-files-found: error}
""",
        second,
    ).replace(
        "    runs-on: x\n    steps",
        "    runs-on: x\n    outputs: {said: '${{ steps.s.outputs.said }}'}\n    steps",
        1,
    )
    run = ran(hub, text)
    assert run["conclusion"] == "success", hub.log(run["id"])
    artifact = hub.ask("GET", f"/actions/runs/{run['id']}/artifacts?name=kept")[1]["artifacts"][0]
    data = hub.ask("GET", f"/actions/artifacts/{artifact['id']}/zip")[1]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["sub/file"]
    other = ran(
        hub,
        workflow(
            f"- uses: actions/download-artifact@v4\n  with: {{name: kept, run-id: '{run['id']}'}}\n- run: cat sub/file"
        ),
    )
    assert other["conclusion"] == "success"
    missing = ran(hub, workflow("- uses: actions/download-artifact@v4\n  with: {name: none}"))
    assert missing["conclusion"] == "failure"


@confined
@pytest.mark.parametrize("path", ["../../../../escaped", "/tmp/escaped-artifact"])
def test_an_artifact_cannot_be_unpacked_outside_the_job(hub: Served, path: str) -> None:
    text = workflow(
        f"- run: echo x > f\n- uses: actions/upload-artifact@v4\n  with: {{name: n, path: f}}\n- uses: actions/download-artifact@v4\n  with: {{name: n, path: {path}}}"
    )
    assert ran(hub, text)["conclusion"] == "failure"
    assert not Path("/tmp/escaped-artifact").exists()


@confined
def test_nothing_to_upload_fails_only_where_the_step_says_so(hub: Served) -> None:
    text = workflow(
        "- uses: actions/upload-artifact@v4\n  with: {name: n, path: none}\n- name: Must\n  uses: actions/upload-artifact@v4\n  with: {name: n, path: none, if-no-files-found: error}"
    )
    assert list(hub.steps(ran(hub, text)["id"]).values()) == ["success", "failure"]


def annotations(hub: Served, run: int) -> list[tuple[str, str, str]]:
    jobs = hub.ask("GET", f"/actions/runs/{run}/jobs")[1]["jobs"]
    found = [a for job in jobs for a in hub.ask("GET", f"/check-runs/{job['id']}/annotations")[1]]
    return [(a["annotation_level"], a["title"], a["message"]) for a in found]


@confined
def test_a_missing_tool_is_rehearsed_and_never_passed(hub: Served) -> None:
    run = ran(
        hub, workflow("- {name: Look, run: 'aws sts get-caller-identity'}\n- {name: Real, run: echo real}")
    )
    assert hub.steps(run["id"]) == {"Look": "skipped", "Real": "success"}
    assert annotations(hub, run["id"]) == [("warning", "rehearsed", "step 1 'Look': aws not found")]
    assert "rehearsed: aws not found" in hub.log(run["id"])


@confined
def test_a_mistyped_program_fails_as_it_would_on_github(hub: Served) -> None:
    run = ran(hub, workflow("- {name: Typo, run: terrafrom plan}"))
    assert (run["conclusion"], hub.steps(run["id"])) == ("failure", {"Typo": "failure"})


@confined
def test_what_a_rehearsed_step_did_not_make_fails_nobody_and_passes_nobody(hub: Served) -> None:
    steps = """
- {name: Guard, run: "true"}
- {name: Make, run: terraform -chdir=. plan -out=tfplan}
- {name: Use, run: cat tfplan}
- {name: Keep, uses: actions/upload-artifact@v4, with: {name: plan, path: tfplan, if-no-files-found: error}}
"""
    run = ran(hub, workflow(steps))
    assert hub.steps(run["id"]) == {
        "Guard": "success",
        "Make": "skipped",
        "Use": "skipped",
        "Keep": "skipped",
    }
    assert [mark[:2] for mark in annotations(hub, run["id"])] == [("warning", "rehearsed")] * 3
    assert hub.ask("GET", f"/actions/runs/{run['id']}/artifacts")[1]["total_count"] == 0
    later = ran(
        hub,
        workflow(
            f"- {{name: Fetch, uses: actions/download-artifact@v4, with: {{name: plan, run-id: '{run['id']}'}}}}"
        ),
    )
    assert hub.steps(later["id"]) == {"Fetch": "skipped"}


@confined
def test_a_failure_before_anything_was_rehearsed_is_a_failure(hub: Served) -> None:
    run = ran(hub, workflow("- {name: Guard, run: 'test a = b'}\n- {name: Make, run: terraform plan}"))
    assert (run["conclusion"], hub.steps(run["id"])) == ("failure", {"Guard": "failure", "Make": "skipped"})


@confined
def test_credentials_are_rehearsed_without_touching_what_follows(hub: Served) -> None:
    steps = """
- {name: Role, uses: aws-actions/configure-aws-credentials@v4, with: {role-to-assume: "${{ vars.ROLE }}", aws-region: ap-northeast-2}}
- {name: Region, run: test "$AWS_REGION" = ap-northeast-2}
- {name: Real failure, run: "false"}
"""
    run = ran(hub, workflow(steps))
    assert hub.steps(run["id"]) == {"Role": "skipped", "Region": "success", "Real failure": "failure"}
    assert [mark[:2] for mark in annotations(hub, run["id"])] == [("notice", "rehearsed")]


@confined
def test_a_step_cannot_crowd_out_that_something_was_rehearsed(hub: Served) -> None:
    steps = "- run: for i in $(seq 80); do echo '::notice title=rehearsed::fine'; echo '::notice::x'; done\n- {name: Look, run: terraform apply}"
    marks = annotations(hub, ran(hub, workflow(steps))["id"])
    assert marks[0] == (
        "warning",
        "rehearsed",
        "step 2 'Look': no cloud in the sandbox: terraform apply was not run",
    )


BEYOND = [
    ("{strategy: {matrix: {x: [1]}}}", "strategy"),
    ("{container: alpine}", "container"),
    ("{services: {db: {image: x}}}", "services"),
]


@pytest.mark.parametrize(("extra", "words"), BEYOND)
def test_what_the_sandbox_does_not_rehearse_is_refused_by_name(hub: Served, extra: str, words: str) -> None:
    text = f"{HEAD}jobs:\n  a:\n    <<: {extra}\n    runs-on: x\n    steps: [{{run: 'true'}}]\n"
    hub.commit({".github/workflows/go.yml": text})
    status, body = hub.ask("POST", "/actions/workflows/go.yml/dispatches", {"ref": "main"})
    assert status == 422
    assert words in body["message"] and "subset" in body["message"]


@confined
@pytest.mark.parametrize(
    "step",
    ["{run: 'echo ${{ matrix.os }}'}", "{if: 'inputs.mode ==', run: 'true'}", "{shell: pwsh, run: ls}"],
)
def test_an_expression_beyond_the_subset_fails_its_step_with_a_clear_log(hub: Served, step: str) -> None:
    run = ran(hub, workflow(f"- {step}"))
    assert run["conclusion"] == "failure"
    assert "##[error]" in hub.log(run["id"])


def test_a_push_starts_what_it_should_and_a_broken_workflow_shows_as_a_failed_run(fresh: Served) -> None:
    fresh.commit(
        {
            ".github/workflows/main.yml": "name: m\non: {push: {branches: [main]}}\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n",
            ".github/workflows/other.yml": "on: {push: {branches: ['release/*']}}\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n",
            ".github/workflows/broken.yml": "on: [push\n",
        }
    )
    fresh.settled(2)
    runs = fresh.ask("GET", "/actions/runs")[1]["workflow_runs"]
    assert {(r["path"], r["event"]) for r in runs} == {
        (".github/workflows/main.yml", "push"),
        (".github/workflows/broken.yml", "push"),
    }
    broken = next(r for r in runs if r["path"].endswith("broken.yml"))
    assert broken["conclusion"] == "failure"


@confined
def test_a_pull_request_runs_its_own_workflow_on_the_merge_of_both_sides(fresh: Served) -> None:
    text = "on: pull_request\njobs:\n  a:\n    runs-on: x\n    steps:\n    - uses: actions/checkout@v4\n    - run: test -e theirs.txt -a -e feature.txt\n"
    fresh.commit({".github/workflows/pr.yml": text, "feature.txt": "x"}, branch="feature")
    fresh.commit({"theirs.txt": "x"})
    number = fresh.ask("POST", "/pulls", {"title": "A pull", "head": "feature", "base": "main"})[1]["number"]
    run = fresh.settled(1)
    assert (run["event"], run["conclusion"], run["display_title"]) == ("pull_request", "success", "A pull")
    assert (run["head_sha"], run["head_branch"]) == (fresh.tip("feature"), "feature")
    assert [pull["number"] for pull in run["pull_requests"]] == [number]
    checks = fresh.ask("GET", "/commits/feature/check-runs")[1]["check_runs"]
    assert [(c["name"], c["conclusion"]) for c in checks] == [("a", "success")]
    fresh.commit({"more.txt": "x"}, branch="feature")
    assert fresh.settled(2)["head_sha"] == fresh.tip("feature")


@confined
def test_runs_are_found_by_event_branch_and_commit(hub: Served) -> None:
    run = ran(hub, workflow("- run: 'true'"), {"change_id": "cs-find"})
    for query in (
        "event=workflow_dispatch",
        "branch=main",
        f"head_sha={run['head_sha']}",
        "status=completed",
        "status=success",
    ):
        found = hub.ask("GET", f"/actions/workflows/go.yml/runs?{query}")[1]
        assert run["id"] in [r["id"] for r in found["workflow_runs"]], query
    assert hub.ask("GET", "/actions/runs?event=schedule")[1]["total_count"] == 0
    number = run["workflow_id"]
    assert hub.ask("GET", f"/actions/workflows/{number}")[1]["path"] == ".github/workflows/go.yml"


@confined
def test_the_log_is_a_zip_with_a_text_per_step_behind_an_address_that_works_once(hub: Served) -> None:
    run = ran(hub, workflow("- {name: 'Say: hi', run: echo hi}"))
    data = hub.ask("GET", f"/actions/runs/{run['id']}/logs")[1]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["a/1_Say hi.txt"]
        assert archive.read("a/1_Say hi.txt").endswith(b"Z hi\n")
    job = hub.ask("GET", f"/actions/runs/{run['id']}/jobs")[1]["jobs"][0]["id"]
    assert hub.ask("GET", f"/actions/jobs/{job}/logs")[1].endswith(b"Z hi\n")


@confined
def test_a_step_that_does_not_end_is_ended(fresh: Served) -> None:
    run = ran(fresh, workflow("- {name: Hang, timeout-minutes: 0.005, run: 'sleep 600 & sleep 600'}"))
    assert run["conclusion"] == "failure"
    assert "No end within the time allowed" in fresh.log(run["id"])


def test_a_run_that_a_stop_cut_short_is_cancelled_at_the_next_start(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        hub = first.github.hub
        tip = first.tip()
        base = {
            "workflow": ".github/workflows/x.yml",
            "name": "x",
            "title": "x",
            "event": "push",
            "head_branch": "main",
        }
        base |= {
            "head_sha": tip,
            "commit": tip,
            "ref": "refs/heads/main",
            "inputs": {},
            "actor": "a",
            "number": 1,
        }
        now = hub.timestamp()
        hub.records.put(
            Run.model_validate(
                {**base, "id": 7, "status": "in_progress", "created_at": now, "updated_at": now}
            )
        )
        hub.records.put(
            Job(id=9, run=7, key="a", name="a", status="in_progress", created_at=now, started_at=now)
        )
    with served(tmp_path) as second:
        assert second.ask("GET", "/actions/runs/7")[1]["conclusion"] == "cancelled"
        assert second.ask("GET", "/actions/jobs/9")[1]["conclusion"] == "cancelled"


@confined
def test_a_stop_ends_the_steps_under_way_and_leaves_their_run_to_be_cancelled(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        first.commit({".github/workflows/go.yml": workflow("- run: sleep 600")})
        asked = {"ref": "main", "return_run_details": True}
        number = first.ask("POST", "/actions/workflows/go.yml/dispatches", asked)[1]["workflow_run_id"]
        until(
            lambda: first.steps(number) and list((first.github.hub.state / "work").glob("*/temp/*/step.sh"))
        )
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    with served(tmp_path) as second:
        assert second.ask("GET", f"/actions/runs/{number}")[1]["conclusion"] == "cancelled"


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


def test_no_scratch_place_is_left_behind(hub: Served) -> None:
    ran(hub, workflow("- run: 'true'"))
    assert list((hub.github.hub.state / "work").iterdir()) == []
    json.dumps(hub.ask("GET", "/actions/runs")[1])
