"""The two things that the gate can do to a cluster: apply one signed object, sync one Application to one commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import Field, JsonValue, ValidationError

from policies.change import CHANGE_ANNOTATION, CommitSha, Digest, Name, RepoPath, Word, digest_of
from tools.kubernetes.cluster import MANAGER, LiveCluster
from tools.kubernetes.comparing import alike, first_difference, owned_by_another, unsigned
from tools.verbs import Call, ConflictError, ForbiddenError, Receipt, TargetError, Verb

Json = dict[str, Any]
APPLICATION = ("argoproj.io/v1alpha1", "Application")
_ENDED = frozenset({"Succeeded", "Failed", "Error"})
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_COMPARES_WITHIN = 5.0
_SCRATCH = "countersign-dry-run"
"""Name of the object that is only ever applied as a dry run."""


class Signed(Word):
    """An artifact in a call: its bytes are in the call's content under the digest."""

    path: RepoPath
    digest: Digest


class ApplyArguments(Word):
    """`kubernetes.apply`: one object; `namespace` is empty for a kind without one."""

    object: Signed
    namespace: Name | None = None


class SyncArguments(Word):
    """`kubernetes.sync_application`: an Application and the commit that it is brought to."""

    namespace: Name
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    revision: CommitSha


W = TypeVar("W", bound=Word)


def _parsed(kind: type[W], call: Call) -> W:
    try:
        return kind.model_validate(dict(call.arguments))
    except ValidationError as fault:
        raise TargetError(
            f"the arguments of {call.verb} are not as its contract says: {fault.errors()[0]['msg']}"
        ) from fault


def _object_of(call: Call) -> tuple[Json, str]:
    """The signed object and its namespace. Raises TargetError when bytes, mark or place are not what the call says."""
    arguments = _parsed(ApplyArguments, call)
    data = call.content.get(arguments.object.digest)
    if data is None or digest_of(data) != arguments.object.digest:
        raise TargetError(
            f"the bytes of {arguments.object.path} are not those that were signed: nothing was applied"
        )
    try:
        manifest = json.loads(data)
        metadata = manifest["metadata"]
        api_version, kind, name = manifest["apiVersion"], manifest["kind"], metadata["name"]
        mark = (metadata.get("annotations") or {}).get(CHANGE_ANNOTATION)
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise TargetError(
            f"{arguments.object.path} is no Kubernetes object with apiVersion, kind and name: {fault!r}"
        ) from fault
    if mark != call.change_id:
        raise TargetError(
            f"{kind} {name} does not carry {CHANGE_ANNOTATION}: {call.change_id}; sign it with this annotation"
        )
    namespace = metadata.get("namespace", "")
    place = name if (api_version, kind) == ("v1", "Namespace") else namespace
    if namespace != (arguments.namespace or "") and place != arguments.namespace:
        raise TargetError(
            f"{kind} {name} is of namespace {namespace!r}, the call says {arguments.namespace!r}"
        )
    if call.destination.cluster is None or (place and place not in call.destination.cluster.namespaces):
        raise TargetError(
            f"namespace {place!r} is not in the signed destination: sign a change that names it"
        )
    return manifest, namespace


class Apply:
    """`kubernetes.apply`: server-side apply, first as a dry run, never forced. `manager` owns the fields.

    Also a Way: another's server may be handed the signed bytes, after our own dry run under its manager's name.
    """

    def __init__(self, cluster: LiveCluster, manager: str = MANAGER) -> None:
        self._cluster, self._manager = cluster, manager

    def find(self, call: Call) -> Receipt | None:
        """The receipt when the live object carries this change's mark.

        It matches when the object holds every signed field, and besides them only what the server fills in.
        """
        manifest, namespace = _object_of(call)
        live = self._cluster.find(
            manifest["apiVersion"], manifest["kind"], namespace, manifest["metadata"]["name"]
        )
        if live is None:
            return None
        metadata = live["metadata"]
        if (metadata.get("annotations") or {}).get(CHANGE_ANNOTATION) != call.change_id:
            return None
        difference = first_difference(manifest, live)
        if difference is not None and not self._is_extra(manifest, difference):
            difference = self._confirmed(manifest, namespace, live, difference)
        if difference is None:
            difference = self._added(manifest, namespace, live)
        facts = {
            "api_version": manifest["apiVersion"],
            "kind": manifest["kind"],
            "namespace": namespace,
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "resource_version": metadata.get("resourceVersion", ""),
            "generation": metadata.get("generation", 0),
        }
        if difference is not None:
            facts |= {"signed": _shown(manifest, difference), "found": _shown(live, difference)}
        return Receipt(verb=call.verb, facts=facts, matches=difference is None, difference=difference or "")

    @staticmethod
    def _is_extra(manifest: Json, pointer: str) -> bool:
        """Whether the difference is an item that the live list has beyond the signed ones."""
        value: Any = manifest
        for token in pointer.split("/")[1:]:
            token = token.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - the token, unescaped
            if isinstance(value, list):
                if int(token) >= len(value):
                    return True
                value = value[int(token)]
            else:
                value = value.get(token) if isinstance(value, Mapping) else None
        return False

    def _confirmed(self, manifest: Json, namespace: str, live: Json, difference: str) -> str | None:
        """Ask the server, by a dry run, whether applying would change anything: it may only write a value differently."""
        try:
            again = self._cluster.apply(manifest, namespace, dry_run=True, manager=self._manager)
        except (
            ConflictError
        ):  # another manager holds the field, or the object is no longer one that can be applied
            return difference
        return None if _content(again) == _content(live) else difference

    def _added(self, manifest: Json, namespace: str, live: Json) -> str | None:
        """The first field that neither the signature nor the server put there.

        What the server puts there shows in a dry run of the signed object under a name that nobody has: in one of its own
        name, what somebody else wrote would count as the server's.
        """
        added = unsigned(manifest, live)
        if not added:
            return None
        scratch = {**manifest, "metadata": {**manifest["metadata"], "name": _SCRATCH}}
        try:
            fresh = self._cluster.apply(scratch, namespace, dry_run=True, manager=self._manager)
        except (ForbiddenError, ConflictError):
            # a quota that is used up, or a right to this name alone: the server's own book-keeping has to do
            return next((p for p in sorted(added) if owned_by_another(live, p, self._manager)), None)
        filled = unsigned(manifest, fresh)
        return next((p for p in sorted(added) if not alike(filled.get(p), added[p], p)), None)

    def perform(self, call: Call) -> None:
        """Dry run, then apply. Raises TargetError; FieldConflictError when another manager holds a field."""
        self.ready(call)
        manifest, namespace = _object_of(call)
        self._cluster.apply(manifest, namespace, dry_run=False, manager=self._manager)

    def ready(self, call: Call) -> None:
        """A dry run. Raises as `perform` does; ConflictError when another change was applied since this one was signed."""
        manifest, namespace = _object_of(call)
        self._refuse_older(call, manifest, namespace)
        self._cluster.apply(manifest, namespace, dry_run=True, manager=self._manager)

    def _refuse_older(self, call: Call, manifest: Json, namespace: str) -> None:
        """A copy of the gate's folder may hold a grant that was spent elsewhere, and what came after it stands there now."""
        name = manifest["metadata"]["name"]
        live = self._cluster.find(manifest["apiVersion"], manifest["kind"], namespace, name)
        metadata = live["metadata"] if live else {}
        mark = (metadata.get("annotations") or {}).get(CHANGE_ANNOTATION)
        if call.signed is None or mark in {None, call.change_id}:
            return
        entries = [e for e in metadata.get("managedFields") or () if e.get("manager") == self._manager]
        applied = max((str(entry.get("time", "")) for entry in entries), default="")
        if applied > call.signed:
            raise ConflictError(
                f"{manifest['kind']} {name} holds change {mark}, applied at {applied}, after this one was signed: "
                "run again, the change must be judged on what is there"
            )

    def words(self, call: Call) -> Mapping[str, JsonValue]:
        """`document`: the signed bytes as text. Raises TargetError."""
        _object_of(call)
        return {"document": call.content[_parsed(ApplyArguments, call).object.digest].decode()}

    def settle(self, call: Call) -> None:
        """An apply is there when it is answered."""


def _shown(value: Any, pointer: str) -> str:  # noqa: ANN401 - any JSON value
    """What stands at a pointer, as JSON of at most 200 characters; empty when nothing does."""
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - the token, unescaped
        if isinstance(value, Mapping):
            value = value.get(token)
        else:
            held = isinstance(value, list) and token.isdecimal() and int(token) < len(value)
            value = value[int(token)] if held else None
    return "" if value is None else json.dumps(value, ensure_ascii=False)[:200]


def _content(manifest: Json) -> Json:
    metadata = {key: manifest["metadata"].get(key) for key in ("labels", "annotations", "generation")}
    return {key: value for key, value in manifest.items() if key not in {"metadata", "status"}} | {
        "metadata": metadata
    }


class SyncApplication:
    """`kubernetes.sync_application`: Argo CD brings an Application to a full commit SHA, asked through its CRD.

    `perform` waits up to `patience` seconds for the operation's end, so that the read-back says how it ended.
    """

    def __init__(
        self, cluster: LiveCluster, *, sleep: Callable[[float], None], patience: float = 60.0
    ) -> None:
        self._cluster = cluster
        self._sleep = sleep
        self._patience = patience

    def find(self, call: Call) -> Receipt | None:
        """The receipt of this change's operation, or of an Application that is Synced at the revision anyway.

        Argo CD says Succeeded a moment before it compares again: a difference counts only when it stays.
        """
        receipt = self._read(call)
        waited, pause = 0.0, _FIRST_PAUSE
        while (
            receipt is not None
            and receipt.facts["phase"] == "Succeeded"
            and not receipt.matches
            and waited < _COMPARES_WITHIN
        ):
            self._sleep(pause)
            waited, pause = waited + pause, pause * 2
            receipt = self._read(call)
        return receipt

    def _read(self, call: Call) -> Receipt | None:
        arguments = _parsed(SyncArguments, call)
        application = self._cluster.find(*APPLICATION, arguments.namespace, arguments.name)
        if application is None:
            return None
        status = application.get("status") or {}
        sync, state = status.get("sync") or {}, status.get("operationState") or {}
        ours = _is_ours(state.get("operation") or {}, call.change_id, arguments.revision)
        asked = _is_ours(application.get("operation") or {}, call.change_id, arguments.revision)
        synced = sync.get("revision") == arguments.revision and sync.get("status") == "Synced"
        if not (ours or asked or synced):
            return None
        phase = state.get("phase", "") if ours else "Pending" if asked else "Succeeded"
        facts = {
            "phase": phase,
            "sync": sync.get("status", ""),
            "health": (status.get("health") or {}).get("status", ""),
            "revision": sync.get("revision", ""),
            "message": str(state.get("message", "")) if ours else "",
        }
        difference = _sync_difference(application, arguments, facts)
        return Receipt(verb=call.verb, facts=facts, matches=not difference, difference=difference)

    def perform(self, call: Call) -> None:
        """Ask for the sync, only of the signed revision and only if no operation is in progress. Raises TargetError."""
        arguments = _parsed(SyncArguments, call)
        if call.destination.cluster is None or arguments.namespace not in call.destination.cluster.namespaces:
            raise TargetError(
                f"namespace {arguments.namespace!r} is not in the signed destination: sign a change that names it"
            )
        application = self._cluster.get(*APPLICATION, arguments.namespace, arguments.name)
        _refuse_unready(application, arguments, call.change_id)
        operation: Json = {
            "initiatedBy": {"username": "countersign"},
            "info": [{"name": CHANGE_ANNOTATION, "value": call.change_id}],
            "sync": {"revision": arguments.revision},
        }
        options = (application["spec"].get("syncPolicy") or {}).get("syncOptions")
        if options:
            # Argo CD takes them from the operation alone; they are part of the signed Application.
            operation["sync"]["syncOptions"] = list(options)
        patch: Json = {
            "operation": operation,
            "metadata": {"resourceVersion": application["metadata"]["resourceVersion"]},
        }
        self._cluster.merge(self._cluster.served(*APPLICATION), arguments.namespace, arguments.name, patch)
        self._wait(call)

    def _wait(self, call: Call) -> None:
        """Until the operation has ended, or the patience."""
        waited, pause = 0.0, _FIRST_PAUSE
        while waited < self._patience:
            receipt = self.find(call)
            if receipt is not None and receipt.facts["phase"] in _ENDED:
                return
            self._sleep(pause)
            waited, pause = waited + pause, min(pause * 2, _LONGEST_PAUSE)


def _is_ours(operation: Mapping[str, Any], change_id: str, revision: str) -> bool:
    marks = [
        entry.get("value") for entry in operation.get("info") or () if entry.get("name") == CHANGE_ANNOTATION
    ]
    return marks == [change_id] and (operation.get("sync") or {}).get("revision") == revision


def _sync_difference(application: Json, arguments: SyncArguments, facts: Mapping[str, Any]) -> str:
    """What keeps the Application from being what was signed; empty when nothing does."""
    target = (application["spec"].get("source") or {}).get("targetRevision")
    if target != arguments.revision:
        return f"/spec/source/targetRevision is {target}"
    if facts["phase"] in {"Failed", "Error"}:
        return f"/status/operationState: {facts['phase']}: {facts['message']}"
    if facts["phase"] == "Succeeded" and (facts["sync"], facts["revision"]) != ("Synced", arguments.revision):
        return f"/status/sync is {facts['sync']} at {facts['revision']}"
    return ""


def _refuse_unready(application: Json, arguments: SyncArguments, change_id: str) -> None:
    """What is read here still holds when the operation is asked for: the patch names this resourceVersion."""
    about = f"Application {arguments.namespace}/{arguments.name}"
    spec, state = application["spec"], (application.get("status") or {}).get("operationState") or {}
    if application.get("operation") or state.get("phase") in {"Running", "Terminating"}:
        raise ConflictError(
            f"{about} has an operation in progress: wait for its end, then submit this step again"
        )
    if _is_ours(state.get("operation") or {}, change_id, arguments.revision):
        raise ConflictError(f"another gate made it: {about} was synced for {change_id} already")
    if spec.get("sources"):
        raise ConflictError(
            f"{about} has several sources: only one source at a full commit SHA can be signed"
        )
    if (spec.get("source") or {}).get("targetRevision") != arguments.revision:
        found = (spec.get("source") or {}).get("targetRevision")
        raise ConflictError(
            f"{about} follows {found!r}, not the signed commit {arguments.revision}: apply the signed Application first"
        )


def verbs(
    cluster: LiveCluster, *, sleep: Callable[[float], None], patience: float = 60.0
) -> Mapping[str, Verb]:
    """`server.verb` -> how it is done on this cluster."""
    return {
        "kubernetes.apply": Apply(cluster),
        "kubernetes.sync_application": SyncApplication(cluster, sleep=sleep, patience=patience),
    }
