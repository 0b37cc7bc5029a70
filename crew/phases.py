"""Each phase as a ChangeSet with its ordered grants: code, not a model.

publish: the rendered files in one commit on a branch, a pull request, reviewers.
release: nothing new is written. Its grants name the published commit, so it carries no artifact.
deploy: objects. With GitOps an AppProject and an Application at the published commit, then a sync; without it,
every published object by itself, with the change's annotation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from crew.goal import Body, Drafting, Files
from crew.rendering import Renderer
from policies import grants
from policies.change import Artifact, ChangeSet, Grant, Operation, Phase, RepositoryTarget, digest_of
from policies.profile import Profile
from tools.gate.words import OpenedChange

_MANIFESTS = ("manifests/", "apps/", "objects/")
Object = dict[str, Any]


class PhaseFaultError(Exception):
    """A phase cannot be made from what the earlier ones left; the message says what is missing."""


def namespaces(drafting: Drafting, renderer: Renderer) -> tuple[str, ...]:
    """The namespaces that the phase touches."""
    if drafting.phase.phase is not Phase.DEPLOY:
        return ()
    found = {
        n
        for o in _published_objects(drafting)
        for n in (grants.namespace_of(o), grants.name_of(o) if o["kind"] == "Namespace" else "")
    }
    for step in renderer.gitops(drafting.phase.steps):
        found.add(str(renderer.parameters(step).values["argocd_namespace"]))
    return tuple(sorted(found - {""}))


def sources(drafting: Drafting, opened: OpenedChange, renderer: Renderer) -> Files:
    """Path -> text of the phase's artifacts before anybody revised them."""
    steps = drafting.phase.steps
    if drafting.phase.phase is Phase.PUBLISH:
        return renderer.files(steps, Phase.PUBLISH, opened, None)
    if drafting.phase.phase is Phase.RELEASE:
        return {}
    if renderer.gitops(steps):
        objects = _objects(renderer.files(steps, Phase.DEPLOY, opened, _commit(drafting)))
    else:
        objects = _published_objects(drafting)
    signed = (grants.object_file(found, opened.change_id) for found in objects)
    return {path: data.decode() for path, data in signed}


def changeset(draft: Body, drafting: Drafting, profile: Profile) -> ChangeSet:
    """The draft's content as a change with its grants."""
    artifacts = tuple(
        Artifact(
            path=path,
            digest=digest_of(text.encode()),
            operation=Operation.MODIFY if path in draft.existing else Operation.ADD,
        )
        for path, text in sorted(draft.content.items())
    )
    opened = draft.opened
    return ChangeSet(
        change_id=opened.change_id,
        run_id=opened.run_id,
        phase=opened.phase,
        goal_digest=drafting.goal.digest,
        profile=opened.profile,
        artifacts=artifacts,
        destination=opened.destination,
        grants=tuple(
            grants.after_approval(grant, opened.phase, profile)
            for grant in _grants(draft, drafting, artifacts, profile.reviewers)
        ),
    )


def _grants(
    draft: Body, drafting: Drafting, artifacts: tuple[Artifact, ...], reviewers: tuple[str, ...]
) -> Iterator[Grant]:
    change_id, phase = draft.opened.change_id, drafting.phase.phase
    if phase is Phase.PUBLISH:
        return grants.publish(
            change_id,
            _repository(draft.opened),
            artifacts,
            title=draft.title,
            goal=drafting.goal.text,
            summary=draft.summary,
            date=draft.at,
            reviewers=reviewers,
        )
    if phase is Phase.RELEASE:
        return grants.release(change_id, _repository(draft.opened), _commit(drafting))
    objects = {a.path: json.loads(draft.content[a.path]) for a in artifacts}
    synced = any(found["kind"] == "Application" for found in objects.values())
    return grants.deploy(objects, _commit(drafting) if synced else None)


def _repository(opened: OpenedChange) -> RepositoryTarget:
    if opened.destination.repository is None:
        raise PhaseFaultError("no repository is configured: set [github] repository")
    return opened.destination.repository


def _commit(drafting: Drafting) -> str:
    commit = drafting.receipts.fact(Phase.PUBLISH, "push_commit", "commit")
    if not isinstance(commit, str):
        raise PhaseFaultError("the publish phase left no commit")
    return commit


def _published_objects(drafting: Drafting) -> list[Object]:
    published = drafting.receipts.of(Phase.PUBLISH)
    return _objects(published.tree if published else {})


def _objects(files: Files) -> list[Object]:
    return [
        found
        for path, text in sorted(files.items())
        if path.startswith(_MANIFESTS)
        for found in yaml.safe_load_all(text)
        if isinstance(found, dict)
    ]
