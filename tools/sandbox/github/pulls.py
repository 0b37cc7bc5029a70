"""Pull requests: open, look at, ask for review, review, comment, merge."""

from __future__ import annotations

from typing import Literal

from starlette.routing import BaseRoute

from policies.change import CommitSha, Word
from tools.sandbox.github import views
from tools.sandbox.github.asking import Answer, Ask, page, route
from tools.sandbox.github.bare import MISSING, Commit, Signature
from tools.sandbox.github.contents import changed_files
from tools.sandbox.github.hub import Hub, Moved
from tools.sandbox.github.pull_views import comment_view, full_view, review_view, simple_view
from tools.sandbox.github.records import Comment, Pull, Review
from tools.sandbox.github.refusal import RefusalError, invalid, not_found

_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


class NewPull(Word):
    """The body of POST pulls."""

    title: str
    head: str
    base: str
    body: str | None = None
    draft: bool = False
    maintainer_can_modify: bool = True


class PullUpdate(Word):
    """The body of PATCH pulls."""

    title: str | None = None
    body: str | None = None
    state: Literal["open", "closed"] | None = None


class Reviewers(Word):
    """The body of POST requested_reviewers."""

    reviewers: tuple[str, ...] = ()
    team_reviewers: tuple[str, ...] = ()


class NewReview(Word):
    """The body of POST reviews."""

    event: Literal["APPROVE", "REQUEST_CHANGES", "COMMENT"]
    body: str = ""
    commit_id: CommitSha | None = None


class Dismissal(Word):
    """The body of PUT dismissals."""

    message: str
    event: Literal["DISMISS"] = "DISMISS"


class NewComment(Word):
    """The body of POST comments."""

    body: str


class Merge(Word):
    """The body of PUT merge."""

    commit_title: str | None = None
    commit_message: str | None = None
    sha: CommitSha | None = None
    merge_method: Literal["merge"] = "merge"


def routes(hub: Hub) -> list[BaseRoute]:
    """The pull request endpoints."""
    one = "/pulls/{number}"
    return [
        route(hub, "GET", "/pulls", list_pulls),
        route(hub, "POST", "/pulls", open_pull),
        route(hub, "GET", one, get_pull),
        route(hub, "PATCH", one, update_pull),
        route(hub, "GET", f"{one}/files", list_files),
        route(hub, "GET", f"{one}/commits", list_commits),
        route(hub, "GET", f"{one}/requested_reviewers", get_reviewers),
        route(hub, "POST", f"{one}/requested_reviewers", request_reviewers),
        route(hub, "GET", f"{one}/reviews", list_reviews),
        route(hub, "POST", f"{one}/reviews", create_review),
        route(hub, "GET", f"{one}/reviews/{{review}}", get_review),
        route(hub, "PUT", f"{one}/reviews/{{review}}/dismissals", dismiss_review),
        route(hub, "PUT", f"{one}/merge", merge),
        route(hub, "GET", "/issues/{number}/comments", list_comments),
        route(hub, "POST", "/issues/{number}/comments", create_comment),
    ]


def follow(hub: Hub, moved: Moved) -> None:
    """What a moved branch means for pull requests: a new head, or merged because the base now holds the head."""
    if not moved.ref.startswith("refs/heads/") or moved.new == MISSING:
        return
    branch = moved.ref.removeprefix("refs/heads/")
    for held in hub.open_pulls():
        pull = held
        if branch == pull.head:
            pull = hub.records.put(
                held.model_copy(update={"head_sha": moved.new, "updated_at": hub.timestamp()})
            )
            publish_refs(hub, pull)
        if branch == pull.base and hub.git.is_ancestor(pull.head_sha, moved.new):
            _mark_merged(hub, pull, moved.new)


def publish_refs(hub: Hub, pull: Pull) -> None:
    """Write refs/pull/N/head, and refs/pull/N/merge when the two sides merge cleanly."""
    refs = hub.git.refs()
    prefix = f"refs/pull/{pull.id}"
    _put_ref(hub, refs, f"{prefix}/head", pull.head_sha)
    base = hub.git.tip(pull.base)
    tree = hub.git.merged_tree(base, pull.head_sha) if base else None
    if base and tree:
        who = Signature(
            pull.author, f"{pull.author}@users.noreply.localhost", int(hub.now().timestamp()), "+0000"
        )
        message = f"Merge {pull.head_sha} into {base}"
        merged = hub.git.write_commit(Commit("", tree, (base, pull.head_sha), who, who, message))
        _put_ref(hub, refs, f"{prefix}/merge", merged)


def find(hub: Hub, ask: Ask) -> Pull:
    """The pull request in the path; GitHub's 404."""
    pull = hub.records.get(Pull, ask.number("number"))
    if pull is None:
        raise not_found("/pulls/pulls#get-a-pull-request")
    return pull


def list_pulls(hub: Hub, ask: Ask) -> Answer:
    """Newest first; `state`, `head` (`owner:branch`) and `base` select."""
    state, head, base = ask.query.get("state", "open"), ask.query.get("head"), ask.query.get("base")
    found = [
        pull
        for pull in reversed(hub.records.all(Pull))
        if state in {"all", pull.state}
        and head in {None, f"{hub.settings.owner}:{pull.head}"}
        and base in {None, pull.base}
    ]
    return page(ask, [simple_view(hub, pull) for pull in found])


def open_pull(hub: Hub, ask: Ask) -> Answer:
    """A new pull request; 422 for an unknown branch, nothing to merge, or a second one for the same head."""
    new = ask.parse(NewPull)
    head = new.head.removeprefix(f"{hub.settings.owner}:")
    head_sha, base_sha = hub.git.tip(head), hub.git.tip(new.base)
    if head_sha is None:
        raise invalid("PullRequest", "head", "invalid")
    if base_sha is None:
        raise invalid("PullRequest", "base", "invalid")
    if any(pull.head == head and pull.base == new.base for pull in hub.open_pulls()):
        text = f"A pull request already exists for {hub.settings.owner}:{head}."
        raise RefusalError(
            422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": text}]
        )
    if hub.git.is_ancestor(head_sha, base_sha):
        text = f"No commits between {new.base} and {head}"
        raise RefusalError(
            422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": text}]
        )
    now = hub.timestamp()
    pull = hub.records.put(
        Pull(
            id=hub.records.next_id(Pull),
            title=new.title,
            body=new.body or "",
            head=head,
            base=new.base,
            head_sha=head_sha,
            base_sha=base_sha,
            author=ask.actor,
            draft=new.draft,
            created_at=now,
            updated_at=now,
        )
    )
    publish_refs(hub, pull)
    for listener in hub.on_opened:
        listener(pull)
    return Answer(full_view(hub, pull), 201)


def get_pull(hub: Hub, ask: Ask) -> views.Json:
    """One pull request."""
    return full_view(hub, find(hub, ask))


def update_pull(hub: Hub, ask: Ask) -> views.Json:
    """New title, body or state."""
    pull, update = find(hub, ask), ask.parse(PullUpdate)
    changes = {key: value for key, value in update.model_dump().items() if value is not None}
    changes |= {"updated_at": hub.timestamp()}
    if update.state == "closed":
        changes["closed_at"] = hub.timestamp()
    return full_view(hub, hub.records.put(pull.model_copy(update=changes)))


def list_files(hub: Hub, ask: Ask) -> Answer:
    """The true diff of a pull request, against its merge base."""
    pull = find(hub, ask)
    base = hub.git.merge_base(pull.base_sha, pull.head_sha)
    return page(ask, changed_files(hub, base, pull.head_sha))


def list_commits(hub: Hub, ask: Ask) -> Answer:
    """The commits of a pull request, oldest first."""
    pull = find(hub, ask)
    found = hub.git.history(pull.head_sha, without=pull.base_sha)
    return page(ask, [views.commit(hub, hub.git.commit(sha)) for sha in found])


def get_reviewers(hub: Hub, ask: Ask) -> views.Json:
    """Who was asked and has not answered."""
    pull = find(hub, ask)
    users = [views.user(hub, login) for login in pull.reviewers]
    return {"users": users, "teams": [views.team(hub, slug) for slug in pull.teams]}


def request_reviewers(hub: Hub, ask: Ask) -> Answer:
    """Ask people and teams; 422 for whoever is not a collaborator, and for the author."""
    pull, asked = find(hub, ask), ask.parse(Reviewers)
    if pull.author in asked.reviewers:
        raise RefusalError(422, "Review cannot be requested from pull request author.")
    strangers = set(asked.reviewers) - {*hub.settings.collaborators, hub.settings.login}
    unknown = set(asked.team_reviewers) - set(hub.settings.teams)
    if strangers or unknown:
        kind = "teams" if unknown else "users"
        raise RefusalError(
            422,
            "Reviews may only be requested from collaborators. One or more of the "
            f"{kind} you specified is not a collaborator of the {hub.settings.full_name} repository.",
        )
    changes = {
        "reviewers": tuple(dict.fromkeys((*pull.reviewers, *asked.reviewers))),
        "teams": tuple(dict.fromkeys((*pull.teams, *asked.team_reviewers))),
        "updated_at": hub.timestamp(),
    }
    return Answer(simple_view(hub, hub.records.put(pull.model_copy(update=changes))), 201)


def list_reviews(hub: Hub, ask: Ask) -> Answer:
    """Submitted reviews, oldest first."""
    pull = find(hub, ask)
    return page(ask, [review_view(hub, r) for r in hub.records.all(Review) if r.pull == pull.id])


def create_review(hub: Hub, ask: Ask) -> views.Json:
    """A review; the author may only comment on their own pull request."""
    pull, new = find(hub, ask), ask.parse(NewReview)
    if new.event != "COMMENT" and ask.actor == pull.author:
        verb = "approve" if new.event == "APPROVE" else "request changes on"
        raise RefusalError(422, "Unprocessable Entity", [f"Can not {verb} your own pull request"])
    if new.event != "APPROVE" and not new.body:
        raise RefusalError(422, "Unprocessable Entity", ["Body can't be blank"])
    if new.commit_id and new.commit_id not in hub.git.history(pull.head_sha, without=pull.base_sha):
        raise RefusalError(422, "Unprocessable Entity", ["The commit_id is not part of the pull request"])
    review = Review(
        id=hub.records.next_id(Review, Comment),
        pull=pull.id,
        author=ask.actor,
        state=_STATES[new.event],
        body=new.body,
        commit=new.commit_id or pull.head_sha,
        submitted_at=hub.timestamp(),
    )
    asked = tuple(login for login in pull.reviewers if login != ask.actor)
    hub.records.put(pull.model_copy(update={"reviewers": asked}))
    return review_view(hub, hub.records.put(review))


def get_review(hub: Hub, ask: Ask) -> views.Json:
    """One review."""
    return review_view(hub, _review(hub, ask))


def dismiss_review(hub: Hub, ask: Ask) -> views.Json:
    """An approval or a request for changes counts no more; 422 for a remark, which never counted."""
    review, asked = _review(hub, ask), ask.parse(Dismissal)
    if not asked.message:
        raise RefusalError(422, "Unprocessable Entity", ["Message can't be blank"])
    if review.state not in {"APPROVED", "CHANGES_REQUESTED"}:
        kind = review.state.lower()
        raise RefusalError(422, "Unprocessable Entity", [f"Can not dismiss a {kind} pull request review"])
    return review_view(hub, hub.records.put(review.model_copy(update={"state": "DISMISSED"})))


def _review(hub: Hub, ask: Ask) -> Review:
    review = hub.records.get(Review, ask.number("review"))
    if review is None or review.pull != find(hub, ask).id:
        raise not_found("/pulls/reviews#get-a-review-for-a-pull-request")
    return review


def list_comments(hub: Hub, ask: Ask) -> Answer:
    """The conversation, oldest first."""
    pull = find(hub, ask)
    return page(ask, [comment_view(hub, c) for c in hub.records.all(Comment) if c.pull == pull.id])


def create_comment(hub: Hub, ask: Ask) -> Answer:
    """A comment in the conversation."""
    pull, new = find(hub, ask), ask.parse(NewComment)
    comment = Comment(
        id=hub.records.next_id(Review, Comment),
        pull=pull.id,
        author=ask.actor,
        body=new.body,
        created_at=hub.timestamp(),
    )
    return Answer(comment_view(hub, hub.records.put(comment)), 201)


def merge(hub: Hub, ask: Ask) -> views.Json:
    """Merge with a merge commit; 405 when closed or conflicting, 409 when the head is not the one expected."""
    pull, wanted = find(hub, ask), ask.parse(Merge)
    base = hub.git.tip(pull.base)
    if pull.state != "open" or base is None:
        raise RefusalError(405, "Pull Request is not mergeable")
    if wanted.sha and wanted.sha != pull.head_sha:
        raise RefusalError(409, "Head branch was modified. Review and try the merge again.")
    tree = hub.git.merged_tree(base, pull.head_sha)
    if tree is None:
        raise RefusalError(405, "Pull Request is not mergeable")
    who = Signature(ask.actor, f"{ask.actor}@users.noreply.localhost", int(hub.now().timestamp()), "+0000")
    title = wanted.commit_title or f"Merge pull request #{pull.id} from {hub.settings.owner}/{pull.head}"
    message = f"{title}\n\n{wanted.commit_message or pull.title}"
    sha = hub.git.write_commit(Commit("", tree, (base, pull.head_sha), who, who, message))
    hub.move(f"refs/heads/{pull.base}", base, sha, ask.actor)
    return {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}


def _mark_merged(hub: Hub, pull: Pull, commit: str) -> None:
    now = hub.timestamp()
    changes = {
        "state": "closed",
        "closed_at": now,
        "merged_at": now,
        "updated_at": now,
        "merge_commit": commit,
    }
    hub.records.put(pull.model_copy(update=changes))


def _put_ref(hub: Hub, refs: dict[str, str], name: str, sha: str) -> None:
    if refs.get(name) != sha:
        hub.git.update_ref(name, sha, refs.get(name) or MISSING)
