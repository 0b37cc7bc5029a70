"""How git objects and records look in GitHub's JSON (its OpenAPI description is the contract tier's measure)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tools.sandbox.github.bare import Commit, Signature
from tools.sandbox.github.hub import Hub

Json = dict[str, Any]

_REPOSITORY_LINKS = """
archive_url=/{archive_format}{/ref} assignees_url=/assignees{/user} blobs_url=/git/blobs{/sha}
branches_url=/branches{/branch} collaborators_url=/collaborators{/collaborator} comments_url=/comments{/number}
commits_url=/commits{/sha} compare_url=/compare/{base}...{head} contents_url=/contents/{+path}
contributors_url=/contributors deployments_url=/deployments downloads_url=/downloads events_url=/events
forks_url=/forks git_commits_url=/git/commits{/sha} git_refs_url=/git/refs{/sha} git_tags_url=/git/tags{/sha}
hooks_url=/hooks issue_comment_url=/issues/comments{/number} issue_events_url=/issues/events{/number}
issues_url=/issues{/number} keys_url=/keys{/key_id} labels_url=/labels{/name} languages_url=/languages
merges_url=/merges milestones_url=/milestones{/number} notifications_url=/notifications{?since,all,participating}
pulls_url=/pulls{/number} releases_url=/releases{/id} stargazers_url=/stargazers statuses_url=/statuses/{sha}
subscribers_url=/subscribers subscription_url=/subscription tags_url=/tags teams_url=/teams trees_url=/git/trees{/sha}
"""
_USER_LINKS = """
followers_url=/followers following_url=/following{/other_user} gists_url=/gists{/gist_id}
starred_url=/starred{/owner}{/repo} subscriptions_url=/subscriptions organizations_url=/orgs repos_url=/repos
events_url=/events{/privacy} received_events_url=/received_events
"""
_ABSENT = ("forks", "forks_count", "stargazers_count", "watchers", "watchers_count", "network_count")
_OFF = (
    "fork",
    "has_projects",
    "has_wiki",
    "has_pages",
    "has_discussions",
    "has_downloads",
    "archived",
    "disabled",
)


def node(kind: str, number: int | str) -> str:
    """An opaque node id."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def when(who: Signature) -> str:
    """The time of a signature in GitHub's form: UTC."""
    moment = datetime.fromtimestamp(who.seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def later(hub: Hub, days: int) -> str:
    """A moment some days from now."""
    return (hub.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def user(hub: Hub, login: str) -> Json:
    """A `simple-user`; the owner is an organisation."""
    settings = hub.settings
    known = (settings.owner, settings.login, *settings.collaborators)
    number = known.index(login) + 1 if login in known else 1000
    url = f"{hub.api}/users/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": node("User", number),
        "avatar_url": f"{hub.origin}/avatars/{login}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{hub.origin}/{login}",
        "type": "Organization" if login == settings.owner else "User",
        "site_admin": False,
        **_links(_USER_LINKS, url),
    }


def private_user(hub: Hub) -> Json:
    """The owner of the token, as `GET /user` shows it."""
    return {
        **user(hub, hub.settings.login),
        **dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio")),
        **dict.fromkeys(("public_gists", "followers", "following", "private_gists"), 0),
        **dict.fromkeys(("total_private_repos", "owned_private_repos", "disk_usage", "collaborators"), 0),
        "public_repos": 1,
        "created_at": hub.identity().created_at,
        "updated_at": hub.identity().created_at,
        "two_factor_authentication": False,
        "user_view_type": "private",
    }


def team(hub: Hub, slug: str) -> Json:
    """A `team` of the owning organisation."""
    url = f"{hub.api}/orgs/{hub.settings.owner}/teams/{slug}"
    number = hub.settings.teams.index(slug) + 1
    return {
        "id": number,
        "node_id": node("Team", number),
        "name": slug,
        "slug": slug,
        "description": None,
        "privacy": "closed",
        "permission": "push",
        "type": "organization",
        "url": url,
        "html_url": f"{hub.origin}/orgs/{hub.settings.owner}/teams/{slug}",
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "parent": None,
    }


def repository(hub: Hub) -> Json:
    """A `full-repository`, which is a `repository` and a `minimal-repository` too."""
    identity = hub.identity()
    issues = len(hub.open_pulls())
    return {
        "id": identity.repository_id,
        "node_id": node("Repository", identity.repository_id),
        "name": hub.settings.name,
        "full_name": hub.settings.full_name,
        "owner": user(hub, hub.settings.owner),
        "private": False,
        "visibility": "public",
        "html_url": hub.html_repo,
        "description": "A rehearsal repository of the Countersign sandbox",
        "url": hub.api_repo,
        **_links(_REPOSITORY_LINKS, hub.api_repo),
        "clone_url": hub.clone_url,
        "git_url": hub.clone_url.replace("http:", "git:", 1),
        "ssh_url": f"git@localhost:{hub.settings.full_name}.git",
        "svn_url": hub.html_repo,
        **dict.fromkeys(("homepage", "language", "mirror_url", "license")),
        **dict.fromkeys(_ABSENT, 0),
        **dict.fromkeys(_OFF, False),
        "subscribers_count": 0,
        "size": 0,
        "open_issues": issues,
        "open_issues_count": issues,
        "has_issues": True,
        "default_branch": hub.settings.default_branch,
        "permissions": {"admin": False, "maintain": False, "push": True, "triage": True, "pull": True},
        "allow_merge_commit": True,
        "allow_squash_merge": True,
        "allow_rebase_merge": True,
        "created_at": identity.created_at,
        "updated_at": identity.pushed_at,
        "pushed_at": identity.pushed_at,
    }


def ref(hub: Hub, name: str, sha: str) -> Json:
    """A `git-ref`."""
    kind = hub.git.kind(sha) or "commit"
    return {
        "ref": name,
        "node_id": node("Ref", name),
        "url": f"{hub.api_repo}/git/{name}",
        "object": {"type": kind, "sha": sha, "url": f"{hub.api_repo}/git/{kind}s/{sha}"},
    }


def git_commit(hub: Hub, commit: Commit) -> Json:
    """A `git-commit` of the Git database API."""
    return {
        "sha": commit.sha,
        "node_id": node("Commit", commit.sha),
        "url": f"{hub.api_repo}/git/commits/{commit.sha}",
        "html_url": f"{hub.html_repo}/commit/{commit.sha}",
        "author": _person(commit.author),
        "committer": _person(commit.committer),
        "message": commit.message,
        "tree": {"sha": commit.tree, "url": f"{hub.api_repo}/git/trees/{commit.tree}"},
        "parents": [
            {
                "sha": parent,
                "url": f"{hub.api_repo}/git/commits/{parent}",
                "html_url": f"{hub.html_repo}/commit/{parent}",
            }
            for parent in commit.parents
        ],
        "verification": _unsigned(),
    }


def commit(hub: Hub, found: Commit) -> Json:
    """A `commit` of the repositories API."""
    url = f"{hub.api_repo}/commits/{found.sha}"
    return {
        "sha": found.sha,
        "node_id": node("Commit", found.sha),
        "url": url,
        "html_url": f"{hub.html_repo}/commit/{found.sha}",
        "comments_url": f"{url}/comments",
        "commit": {
            "url": f"{hub.api_repo}/git/commits/{found.sha}",
            "author": _person(found.author),
            "committer": _person(found.committer),
            "message": found.message,
            "comment_count": 0,
            "tree": {"sha": found.tree, "url": f"{hub.api_repo}/git/trees/{found.tree}"},
            "verification": _unsigned(),
        },
        "author": None,
        "committer": None,
        "parents": [
            {
                "sha": parent,
                "url": f"{hub.api_repo}/commits/{parent}",
                "html_url": f"{hub.html_repo}/commit/{parent}",
            }
            for parent in found.parents
        ],
    }


def simple_commit(found: Commit) -> Json:
    """A `simple-commit`, as workflow runs carry it."""
    return {
        "id": found.sha,
        "tree_id": found.tree,
        "message": found.message,
        "timestamp": when(found.committer),
        "author": {"name": found.author.name, "email": found.author.email},
        "committer": {"name": found.committer.name, "email": found.committer.email},
    }


def _person(who: Signature) -> Json:
    return {"name": who.name, "email": who.email, "date": when(who)}


def _unsigned() -> Json:
    return {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


@cache
def _suffixes(table: str) -> tuple[tuple[str, str], ...]:
    return tuple((pair.partition("=")[0], pair.partition("=")[2]) for pair in table.split())


def _links(table: str, url: str) -> dict[str, str]:
    return {key: url + suffix for key, suffix in _suffixes(table)}
