"""The repository is a real one: git clones it, pushes to it, and the API says what git says."""

import base64
from pathlib import Path

import pytest

from tests.fakes.rehearsal_github import SEARCH, TOKEN, Served, git, served
from tools.sandbox.github.bare import BareRepository, GitFaultError


def authorized(token: str = TOKEN) -> str:
    return "http.extraHeader=Authorization: Basic " + base64.b64encode(f"x:{token}".encode()).decode()


def test_anyone_on_this_machine_clones_and_only_the_token_pushes(fresh: Served, tmp_path: Path) -> None:
    url = fresh.github.hub.clone_url
    git("clone", "-q", url, "clone", cwd=tmp_path)
    work = tmp_path / "clone"
    assert (work / "README.md").read_text().startswith("# acme/platform\n")
    (work / "new.txt").write_text("pushed\n")
    git("add", "new.txt", cwd=work)
    git("commit", "-q", "-m", "push", cwd=work)
    for wrong in ((), ("-c", authorized("wrong"))):
        with pytest.raises(AssertionError, match=r"(?i)authentication|username|403|401"):
            git(*wrong, "push", "-q", "origin", "HEAD:main", cwd=work)
    assert fresh.tip() == git("rev-parse", "HEAD~1", cwd=work)
    git("-c", authorized(), "push", "-q", "origin", "HEAD:main", cwd=work)
    assert fresh.tip() == git("rev-parse", "HEAD", cwd=work)
    found = fresh.ask("GET", "/contents/new.txt")[1]
    assert base64.b64decode(found["content"]) == b"pushed\n"


def test_the_first_commit_is_the_same_in_every_sandbox_and_the_repository_is_not(tmp_path: Path) -> None:
    with served(tmp_path / "a") as one, served(tmp_path / "b") as other:
        assert one.tip() == other.tip()
        assert one.ask("GET", "")[1]["id"] != other.ask("GET", "")[1]["id"]


def test_a_restart_finds_everything_again(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        first.commit({"a.txt": "1"}, branch="feature")
        number = first.ask("POST", "/pulls", {"title": "t", "head": "feature", "base": "main"})[1]["number"]
        first.ask("POST", f"/pulls/{number}/requested_reviewers", {"reviewers": ["platform-lead"]})
        identity, tip = first.ask("GET", "")[1]["id"], first.tip("feature")
    with served(tmp_path) as second:
        assert second.ask("GET", "")[1]["id"] == identity
        assert second.tip("feature") == tip
        found = second.ask("GET", f"/pulls/{number}")[1]
        assert [user["login"] for user in found["requested_reviewers"]] == ["platform-lead"]


def test_the_persons_git_configuration_and_hooks_have_no_say(
    fresh: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[core]\n\thooksPath = /nonexistent\n[user]\n\tname = Somebody Else\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    hook = fresh.github.hub.git.path / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert fresh.ask("POST", "/git/refs", {"ref": "refs/heads/unhooked", "sha": fresh.tip()})[0] == 201


def test_without_git_the_sandbox_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(GitFaultError, match="install git"):
        BareRepository.at(tmp_path / "r.git", str(tmp_path))
    assert BareRepository.at(tmp_path / "r.git", SEARCH).refs() == {}


def test_a_commit_made_through_the_api_has_the_id_that_git_computes(fresh: Served, tmp_path: Path) -> None:
    blob = fresh.ask(
        "POST", "/git/blobs", {"content": base64.b64encode(b"\x00\xff").decode(), "encoding": "base64"}
    )[1]["sha"]
    base = fresh.tip()
    lines = [{"path": "d/e.bin", "mode": "100755", "type": "blob", "sha": blob}]
    tree = fresh.ask("POST", "/git/trees", {"base_tree": base, "tree": lines})[1]["sha"]
    who = {"name": "A Person", "email": "person@example.com", "date": "2026-11-23T09:00:00Z"}
    body = {"message": "made\n", "tree": tree, "parents": [base], "author": who, "committer": who}
    status, made = fresh.ask("POST", "/git/commits", body)
    assert status == 201
    assert made["author"]["date"] == "2026-11-23T09:00:00Z"
    fresh.ask("POST", "/git/refs", {"ref": "refs/heads/made", "sha": made["sha"]})
    git("clone", "-q", "-b", "made", fresh.github.hub.clone_url, "clone", cwd=tmp_path)
    work = tmp_path / "clone"
    assert git("rev-parse", "HEAD", cwd=work) == made["sha"]
    assert (work / "d/e.bin").read_bytes() == b"\x00\xff"
    assert git("ls-files", "-s", "d/e.bin", cwd=work).startswith("100755")
    git("fsck", "--strict", cwd=work)


def test_comparisons_and_diffs_are_gits_own(fresh: Served) -> None:
    base = fresh.commit(
        {"a.txt": "one\ntwo\nthree\n", "gone.txt": "x\n", "old name.txt": "much the same\n" * 9}
    )
    fresh.commit({"a.txt": "one\n2\nthree\n", "gone.txt": None}, branch="feature")
    head = fresh.commit({"old name.txt": None, "new name.txt": "much the same\n" * 9}, branch="feature")
    fresh.commit({"meanwhile.txt": "x"})
    found = fresh.ask("GET", "/compare/main...feature")[1]
    assert (found["status"], found["ahead_by"], found["behind_by"]) == ("diverged", 2, 1)
    assert found["merge_base_commit"]["sha"] == base
    files = {file["filename"]: file for file in found["files"]}
    assert {name: file["status"] for name, file in files.items()} == {
        "a.txt": "modified",
        "gone.txt": "removed",
        "new name.txt": "renamed",
    }
    assert (files["a.txt"]["additions"], files["a.txt"]["deletions"]) == (1, 1)
    assert files["a.txt"]["patch"] == "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three"
    assert files["new name.txt"]["previous_filename"] == "old name.txt"
    assert fresh.ask("GET", f"/compare/{base}...{head}")[1]["status"] == "ahead"
    assert fresh.ask("GET", f"/compare/{head}...{base}")[1]["status"] == "behind"
    assert fresh.ask("GET", f"/compare/{head}...feature")[1]["status"] == "identical"


def test_the_ways_to_name_a_tree_agree(fresh: Served) -> None:
    commit = fresh.commit({"d/a.txt": "1", "b.txt": "2"})
    tree = fresh.github.hub.git.commit(commit).tree
    answers = [fresh.ask("GET", f"/git/trees/{name}?recursive=1")[1] for name in (tree, commit, "main")]
    assert [line["path"] for line in answers[0]["tree"]] == ["README.md", "b.txt", "d", "d/a.txt"]
    assert answers[0]["tree"] == answers[1]["tree"] == answers[2]["tree"]
    assert [line["path"] for line in fresh.ask("GET", f"/git/trees/{tree}")[1]["tree"]] == [
        "README.md",
        "b.txt",
        "d",
    ]


def test_lists_come_in_pages_with_githubs_link(fresh: Served) -> None:
    for number in range(3):
        fresh.commit({f"{number}": "x"}, branch=f"b{number}")
    assert len(fresh.ask("GET", "/branches?per_page=2&page=1")[1]) == 2
    assert len(fresh.ask("GET", "/branches?per_page=2&page=2")[1]) == 2
    assert fresh.ask("GET", "/branches?per_page=2&page=3")[1] == []
