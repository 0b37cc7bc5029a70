from __future__ import annotations

import pytest

from policies.remedy import apply
from policies.workflows import triggered_by
from tests.fakes.scanning import COMMIT, judge, rules

PATH = ".github/workflows/terraform.yml"
SOUND = f"""name: terraform
on:
  push:
    branches: [main]
  pull_request:
  workflow_dispatch:
    inputs:
      change_id:
        type: string
permissions:
  contents: read
jobs:
  plan:
    runs-on: ubuntu-24.04
    timeout-minutes: 20
    permissions:
      contents: read
      id-token: write
    steps:
      - uses: actions/checkout@{COMMIT} # v4
      - run: terraform plan
        env:
          TITLE: ${{{{ github.event.pull_request.title }}}}
"""


def edit(old: str, new: str) -> str:
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)


PIN = f"actions/checkout@{COMMIT} # v4"
RUN = "run: terraform plan"
TARGET = edit("  pull_request:\n", "  pull_request_target:\n")
CHECKOUT = f"uses: actions/checkout@{COMMIT} # v4\n        with:\n          ref: ${{{{ github.event.pull_request.head.sha }}}}"
TABLE: dict[str, tuple[list[str], list[str]]] = {
    "workflow/unpinned-action": (
        [edit(PIN, "actions/checkout@v4"), edit(PIN, "actions/checkout@main"), edit(PIN, "actions/checkout@0123456"), edit(PIN, "actions/checkout")],
        [SOUND, edit(PIN, "./.github/actions/x")]),
    "workflow/container-digest": ([edit(PIN, "docker://alpine:3"), edit("    timeout-minutes: 20\n", "    container: node:22\n")], [edit(PIN, f"docker://alpine@sha256:{'a' * 64}")]),
    "workflow/permissions-missing": ([edit("permissions:\n  contents: read\njobs", "jobs").replace("    permissions:\n      contents: read\n      id-token: write\n", "")], [SOUND]),
    "workflow/permissions-write-all": ([edit("permissions:\n  contents: read\njobs", "permissions: write-all\njobs"), edit("    permissions:\n      contents: read\n      id-token: write\n", "    permissions: write-all\n")], [SOUND]),
    "workflow/pull-request-target": ([TARGET.replace(f"uses: {PIN}", CHECKOUT), TARGET.replace(RUN, "run: gh pr checkout 1")], [TARGET, SOUND.replace(f"uses: {PIN}", CHECKOUT)]),
    "workflow/dangerous-trigger": ([TARGET, edit("  pull_request:\n", "  issue_comment:\n")], [SOUND]),
    "workflow/script-injection": (
        [edit(RUN, f"run: echo ${{{{ {field} }}}}") for field in (
            "github.event.issue.title", "github.event.pull_request.body", "github.head_ref", "github.event.comment.body", "github.event.head_commit.message",
            "github.event.pull_request.head.ref", "inputs.change_id", "github.event.inputs.change_id", "toJSON(github.event)", "format('{0}', github.event.review.body)")],
        [SOUND, edit(RUN, "run: echo ${{ github.sha }} ${{ github.event.pull_request.number }} ${{ github.event.pull_request.head.sha }}")]),
    "workflow/secrets-inherit": ([SOUND + "  call:\n    uses: ./.github/workflows/x.yml\n    secrets: inherit\n"], [SOUND + "  call:\n    uses: ./.github/workflows/x.yml\n"]),
    "workflow/secrets-to-fork": ([edit(RUN, "run: x ${{ secrets.KEY }}")],
                                 [edit(RUN, "run: x ${{ secrets.GITHUB_TOKEN }}"), edit(RUN, "run: x ${{ secrets.KEY }}").replace("    timeout", "    if: github.event_name == 'push'\n    timeout"),
                                  edit(RUN, "run: x ${{ secrets.KEY }}").replace("  pull_request:\n", "")]),
    "workflow/self-hosted-runner": ([edit("ubuntu-24.04", "self-hosted"), edit("ubuntu-24.04", "[self-hosted, linux]")], [SOUND, edit("ubuntu-24.04", "self-hosted").replace("  pull_request:\n", "")]),
    "workflow/unsecure-commands": ([edit(RUN, RUN + "\n        shell: bash").replace("TITLE: ", 'ACTIONS_ALLOW_UNSECURE_COMMANDS: "true"\n          TITLE: ')], [SOUND]),
    "workflow/pipe-to-shell": ([edit(RUN, "run: curl -s https://x | bash"), edit(RUN, "run: wget -qO- https://x | sudo sh")], [edit(RUN, "run: curl -s https://x -o y")]),
    "workflow/shape": (["on: push\n", "on: push\njobs: {a: {steps: []}}\n", "- a\n", "jobs: {a: {runs-on: x, steps: []}}\n", "a: 1\n---\nb: 1\n"], [SOUND]),
    "reading/ambiguous-scalar": ([edit("timeout-minutes: 20", "timeout-minutes: 0x14")], [SOUND]),
    "reading/scanner-switch": ([edit(RUN, RUN + " # zizmor: ignore[x]")], [SOUND]),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "text"), [(r, t) for r, (bad, _) in TABLE.items() for t in bad])
def test_what_breaks_a_rule(rule: str, text: str) -> None:
    assert rule in rules(judge({PATH: text}))


@pytest.mark.parametrize(("rule", "text"), [(r, t) for r, (_, fine) in TABLE.items() for t in fine])
def test_what_does_not(rule: str, text: str) -> None:
    assert rule not in rules(judge({PATH: text}))


def test_the_sound_workflow_has_no_finding_at_all() -> None:
    assert judge({PATH: SOUND}) == ()


@pytest.mark.parametrize(
    "text",
    [
        edit(PIN, "actions/checkout@v4"),
        edit(PIN, '"actions/checkout@v4" # newest'),
        edit(PIN, "actions/checkout@v4")
        + "      - uses: actions/checkout@v4\n      - uses: actions/checkout@v4\n",
        TABLE["workflow/permissions-missing"][0][0],
    ],
)
def test_the_edit_repairs_the_file(text: str) -> None:
    fixes = [fix for finding in judge({PATH: text}) for fix in finding.remediations]
    repaired = apply(fixes, {PATH: text.encode()})
    assert apply(fixes, repaired) == repaired
    assert judge({PATH: repaired[PATH].decode()}) == ()


def test_an_action_whose_pin_nobody_knows_gets_no_edit() -> None:
    (finding,) = judge({PATH: edit(PIN, "other/action@v1")})
    assert finding.remediations == ()


@pytest.mark.parametrize(
    ("event", "branch", "started"),
    [
        ("push", "main", True),
        ("push", "countersign/cs-1", False),
        ("pull_request", "", True),
        ("issues", "", False),
    ],
)
def test_which_workflows_an_event_starts(event: str, branch: str, *, started: bool) -> None:
    found = triggered_by({PATH: SOUND.encode(), "x.yml": SOUND.encode()}, event, branch=branch)
    assert [f.rule for f in found] == (["workflow/triggered"] if started else [])
    if started:
        assert "job plan: contents: read, id-token: write" in found[0].message


@pytest.mark.parametrize(
    ("patterns", "branch", "started"),
    [
        ('["release/*"]', "release/1", True),
        ('["release/*"]', "release/1/2", False),
        ('["**"]', "a/b/c", True),
        ('["**", "!main"]', "main", False),
        ('["mai?"]', "main", True),
    ],
)
def test_branch_filters(patterns: str, branch: str, *, started: bool) -> None:
    text = edit("branches: [main]", f"branches: {patterns}")
    assert bool(triggered_by({PATH: text.encode()}, "push", branch=branch)) is started


def test_a_workflow_that_cannot_be_read_may_be_started() -> None:
    (found,) = triggered_by({PATH: b"on: &all [push]\njobs: *all\n"}, "push", branch="main")
    assert (found.rule, found.path) == ("workflow/triggered", PATH)
    assert "cannot be read" in found.message
