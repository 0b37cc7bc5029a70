"""Pull requests follow their branches, as on GitHub."""

import pytest

from tests.fakes.rehearsal_github import Served


def opened(hub: Served, files: dict[str, str | None] | None = None) -> int:
    hub.commit(files or {"feature.txt": "1\n"}, branch="feature")
    status, body = hub.ask(
        "POST", "/pulls", {"title": "A title", "head": "feature", "base": "main", "body": "A body"}
    )
    assert status == 201, body
    return int(body["number"])


def test_a_pull_request_shows_its_true_diff_and_mergeability(fresh: Served) -> None:
    number = opened(fresh, {"feature.txt": "1\n2\n", "README.md": None})
    found = fresh.ask("GET", f"/pulls/{number}")[1]
    assert (found["changed_files"], found["additions"], found["commits"], found["mergeable"]) == (
        2,
        2,
        1,
        True,
    )
    files = fresh.ask("GET", f"/pulls/{number}/files")[1]
    assert {f["filename"]: f["status"] for f in files} == {"README.md": "removed", "feature.txt": "added"}
    refs = fresh.github.hub.git.refs()
    merged = fresh.github.hub.git.commit(refs[f"refs/pull/{number}/merge"])
    assert merged.parents == (fresh.tip(), fresh.tip("feature"))


def test_a_conflict_is_not_mergeable(fresh: Served) -> None:
    number = opened(fresh, {"README.md": "theirs\n"})
    fresh.commit({"README.md": "ours\n"})
    fresh.commit({"README.md": "theirs again\n"}, branch="feature")
    assert fresh.ask("PUT", f"/pulls/{number}/merge", {})[0] == 405
    assert fresh.ask("GET", f"/pulls/{number}")[1]["state"] == "open"


def test_a_push_to_the_head_moves_the_pull_request(fresh: Served) -> None:
    number = opened(fresh)
    later = fresh.commit({"more.txt": "x"}, branch="feature")
    found = fresh.ask("GET", f"/pulls/{number}")[1]
    assert (found["head"]["sha"], found["commits"]) == (later, 2)


def test_a_base_that_reaches_the_head_closes_the_pull_request_as_merged(fresh: Served) -> None:
    number = opened(fresh)
    head = fresh.tip("feature")
    assert fresh.ask("PATCH", "/git/refs/heads/main", {"sha": head, "force": False})[0] == 200
    found = fresh.ask("GET", f"/pulls/{number}")[1]
    assert (found["state"], found["merged"], found["merge_commit_sha"]) == ("closed", True, head)
    assert fresh.ask("GET", "/pulls")[1] == []
    assert [p["number"] for p in fresh.ask("GET", "/pulls?state=all&head=acme:feature&base=main")[1]] == [
        number
    ]


def test_a_merge_needs_the_head_that_was_looked_at(fresh: Served) -> None:
    number = opened(fresh)
    assert fresh.ask("PUT", f"/pulls/{number}/merge", {"sha": "1" * 40})[0] == 409
    status, body = fresh.ask("PUT", f"/pulls/{number}/merge", {"sha": fresh.tip("feature")})
    assert (status, body["merged"]) == (200, True)
    assert fresh.github.hub.git.commit(fresh.tip()).parents[1] == fresh.tip("feature")
    assert fresh.ask("PUT", f"/pulls/{number}/merge", {})[0] == 405


@pytest.mark.parametrize("head", ["acme:feature", "acme:other", "mallory:feature"])
def test_pull_requests_are_found_by_their_head(fresh: Served, head: str) -> None:
    opened(fresh)
    assert len(fresh.ask("GET", f"/pulls?state=all&head={head}")[1]) == (head == "acme:feature")


def test_reviewers_are_asked_once_and_a_comment_is_no_approval(fresh: Served) -> None:
    number = opened(fresh)
    for _ in range(2):
        asked = {"reviewers": ["platform-lead"], "team_reviewers": ["security"]}
        assert fresh.ask("POST", f"/pulls/{number}/requested_reviewers", asked)[0] == 201
    found = fresh.ask("GET", f"/pulls/{number}/requested_reviewers")[1]
    assert [u["login"] for u in found["users"]] == ["platform-lead"]
    assert [t["slug"] for t in found["teams"]] == ["security"]
    assert (
        fresh.ask("POST", f"/pulls/{number}/reviews", {"event": "COMMENT", "body": "Looks signed"})[0] == 200
    )
    assert [(r["state"], r["body"]) for r in fresh.ask("GET", f"/pulls/{number}/reviews")[1]] == [
        ("COMMENTED", "Looks signed")
    ]
    assert fresh.ask("POST", f"/issues/{number}/comments", {"body": "hello"})[0] == 201
    assert fresh.ask("GET", f"/pulls/{number}")[1]["comments"] == 1


def reviews(hub: Served, number: int) -> list[tuple[str, str, str]]:
    found = hub.ask("GET", f"/pulls/{number}/reviews")[1]
    return [(r["user"]["login"], r["state"], r["commit_id"]) for r in found]


def test_a_person_reviews_with_their_own_token_and_the_review_keeps_its_commit(fresh: Served) -> None:
    number, head = opened(fresh), fresh.tip("feature")
    fresh.review("platform-lead", number)
    fresh.commit({"more.txt": "x"}, branch="feature")
    fresh.review("security-lead", number, commit_id=head)
    assert reviews(fresh, number) == [
        ("platform-lead", "APPROVED", head),
        ("security-lead", "APPROVED", head),
    ]
    later = {"event": "APPROVE", "commit_id": fresh.tip()}
    assert fresh.ask("POST", f"/pulls/{number}/reviews", later, token=fresh.person("security-lead"))[0] == 422
    assert fresh.ask("POST", f"/pulls/{number}/reviews", {"event": "APPROVE"})[0] == 422  # its author


def test_a_review_can_be_dismissed_and_keeps_its_place(fresh: Served) -> None:
    number, head = opened(fresh), fresh.tip("feature")
    first = fresh.review("platform-lead", number)
    remark = fresh.review("security-lead", number, "COMMENT")
    path = f"/pulls/{number}/reviews"
    assert fresh.ask("PUT", f"{path}/{first}/dismissals", {"message": ""})[0] == 422
    assert fresh.ask("PUT", f"{path}/{first}/dismissals", {"message": "no"})[1]["state"] == "DISMISSED"
    assert fresh.ask("PUT", f"{path}/{first}/dismissals", {"message": "no"})[0] == 422
    assert fresh.ask("PUT", f"{path}/{remark}/dismissals", {"message": "no"})[0] == 422
    assert fresh.ask("GET", f"/pulls/99/reviews/{first}")[0] == 404
    assert [state for _, state, _ in reviews(fresh, number)] == ["DISMISSED", "COMMENTED"]
    assert fresh.ask("GET", f"{path}/{first}")[1]["commit_id"] == head


def test_the_tokens_of_the_people_are_theirs_alone(fresh: Served) -> None:
    folder = fresh.github.hub.state / "people"
    assert {p.name for p in folder.iterdir()} == {"platform-lead.token", "security-lead.token"}
    assert {p.stat().st_mode & 0o777 for p in (folder, *folder.iterdir())} == {0o700, 0o600}
