"""Pull requests, reviews and comments in GitHub's JSON."""

from __future__ import annotations

from tools.sandbox.github import views
from tools.sandbox.github.contents import changed_files
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.records import Comment, Pull, Review


def simple_view(hub: Hub, pull: Pull) -> views.Json:
    """A `pull-request-simple`."""
    url, html = f"{hub.api_repo}/pulls/{pull.id}", _html(hub, pull.id)
    issue = f"{hub.api_repo}/issues/{pull.id}"
    links = {
        "self": url,
        "html": html,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{hub.api_repo}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{hub.api_repo}/statuses/{pull.head_sha}",
    }
    return {
        "id": pull.id,
        "node_id": views.node("PullRequest", pull.id),
        "number": pull.id,
        "state": pull.state,
        "locked": False,
        "draft": pull.draft,
        "title": pull.title,
        "body": pull.body or None,
        "user": views.user(hub, pull.author),
        "author_association": "COLLABORATOR",
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "commits_url": links["commits"],
        "comments_url": links["comments"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "statuses_url": links["statuses"],
        "_links": {name: {"href": address} for name, address in links.items()},
        "head": _side(hub, pull.head, pull.head_sha),
        "base": _side(hub, pull.base, pull.base_sha),
        "requested_reviewers": [views.user(hub, login) for login in pull.reviewers],
        "requested_teams": [views.team(hub, slug) for slug in pull.teams],
        "labels": [],
        "assignees": [],
        **dict.fromkeys(("assignee", "milestone", "auto_merge")),
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
        "merged_at": pull.merged_at,
        "merge_commit_sha": pull.merge_commit or hub.git.refs().get(f"refs/pull/{pull.id}/merge"),
    }


def full_view(hub: Hub, pull: Pull) -> views.Json:
    """A `pull-request`, with the counts that only a single one carries."""
    files = changed_files(hub, hub.git.merge_base(pull.base_sha, pull.head_sha), pull.head_sha)
    mergeable = f"refs/pull/{pull.id}/merge" in hub.git.refs()
    return {
        **simple_view(hub, pull),
        "merged": pull.merged_at is not None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": "clean" if mergeable else "unknown",
        "merged_by": views.user(hub, pull.author) if pull.merged_at else None,
        "comments": sum(comment.pull == pull.id for comment in hub.records.all(Comment)),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": len(hub.git.history(pull.head_sha, without=pull.base_sha)),
        "additions": sum(int(f["additions"]) for f in files),
        "deletions": sum(int(f["deletions"]) for f in files),
        "changed_files": len(files),
    }


def minimal_view(hub: Hub, pull: Pull) -> views.Json:
    """A `pull-request-minimal`, as workflow runs carry it."""
    repo = {"id": hub.identity().repository_id, "url": hub.api_repo, "name": hub.settings.name}
    return {
        "id": pull.id,
        "number": pull.id,
        "url": f"{hub.api_repo}/pulls/{pull.id}",
        "head": {"ref": pull.head, "sha": pull.head_sha, "repo": repo},
        "base": {"ref": pull.base, "sha": pull.base_sha, "repo": repo},
    }


def review_view(hub: Hub, review: Review) -> views.Json:
    """A `pull-request-review`."""
    html = f"{_html(hub, review.pull)}#pullrequestreview-{review.id}"
    pull = f"{hub.api_repo}/pulls/{review.pull}"
    return {
        "id": review.id,
        "node_id": views.node("PullRequestReview", review.id),
        "user": views.user(hub, review.author),
        "body": review.body,
        "state": review.state,
        "html_url": html,
        "pull_request_url": pull,
        "_links": {"html": {"href": html}, "pull_request": {"href": pull}},
        "submitted_at": review.submitted_at,
        "commit_id": review.commit,
        "author_association": "COLLABORATOR",
    }


def comment_view(hub: Hub, comment: Comment) -> views.Json:
    """An `issue-comment`."""
    return {
        "id": comment.id,
        "node_id": views.node("IssueComment", comment.id),
        "url": f"{hub.api_repo}/issues/comments/{comment.id}",
        "html_url": f"{_html(hub, comment.pull)}#issuecomment-{comment.id}",
        "issue_url": f"{hub.api_repo}/issues/{comment.pull}",
        "body": comment.body,
        "user": views.user(hub, comment.author),
        "author_association": "COLLABORATOR",
        "performed_via_github_app": None,
        "created_at": comment.created_at,
        "updated_at": comment.created_at,
    }


def _html(hub: Hub, number: int) -> str:
    return f"{hub.html_repo}/pull/{number}"


def _side(hub: Hub, branch: str, sha: str) -> views.Json:
    return {
        "label": f"{hub.settings.owner}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": views.user(hub, hub.settings.owner),
        "repo": views.repository(hub),
    }
