"""Watches: the changes of a collection as they happen, one JSON document a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tools.sandbox.cluster import errors
from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.http.addresses import Address
from tools.sandbox.cluster.http.reading import formed, selected, wanted_form
from tools.sandbox.cluster.store import Change

Json = dict[str, Any]
_LONGEST = 1800.0
_BOOKMARK_EVERY = 30.0


class Watch:
    """One watch, from before the first line is asked for, so that nothing between list and watch is lost."""

    def __init__(self, cluster: Cluster, address: Address, query: Mapping[str, str], accept: str) -> None:
        self._cluster = cluster
        self._address = address
        self._query = query
        self._accept = accept
        self._test = selected(query, address.name)
        self._queue: asyncio.Queue[Change] = asyncio.Queue()
        self._stop = cluster.store.listen(self._heard)
        self._headers = True

    def _heard(self, change: Change) -> None:
        if change.kind is self._address.kind:
            self._queue.put_nowait(change)

    async def lines(self) -> AsyncIterator[bytes]:
        """The events until the client's timeout."""
        seconds = self._query.get("timeoutSeconds", "")
        loop = asyncio.get_running_loop()
        end = loop.time() + (
            min(float(seconds), _LONGEST) if seconds.isdigit() and seconds != "0" else _LONGEST
        )
        try:
            for event in self._initial():
                yield event
            while (left := end - loop.time()) > 0:
                try:
                    change = await asyncio.wait_for(self._queue.get(), min(left, _BOOKMARK_EVERY))
                except TimeoutError:
                    if self._query.get("allowWatchBookmarks") == "true" and loop.time() < end:
                        yield self._bookmark({})
                    continue
                if (line := self._line(change)) is not None:
                    yield line
        finally:
            self._stop()

    def _initial(self) -> list[bytes]:
        """What the client does not have yet. Its resourceVersion may be too old: one ERROR event, as the server sends."""
        version = self._query.get("resourceVersion", "")
        all_now = self._query.get("sendInitialEvents") == "true"
        if version in {"", "0"} or all_now:
            items = self._cluster.store.items(self._address.kind, self._address.namespace)
            lines = [self._event("ADDED", item) for item in items if self._test(item)]
            if all_now and self._query.get("allowWatchBookmarks") == "true":
                lines.append(self._bookmark({"k8s.io/initial-events-end": "true"}))
            return lines
        changes = self._cluster.store.since(self._address.kind, int(version)) if version.isdigit() else None
        if changes is None:
            status = errors.gone(
                f"too old resource version: {version} ({self._cluster.store.revision})"
            ).status()
            return [_encoded({"type": "ERROR", "object": status})]
        return [line for change in changes if (line := self._line(change)) is not None]

    def _line(self, change: Change) -> bytes | None:
        """A change as this watch sees it: an object that enters or leaves the selection is added or deleted."""
        if self._address.namespace not in {"", change.manifest["metadata"].get("namespace", "")}:
            return None
        is_in = change.type != "DELETED" and self._test(change.manifest)
        was_in = change.before is not None and self._test(change.before)
        if not is_in and not was_in:
            return None
        return self._event("DELETED" if not is_in else "MODIFIED" if was_in else "ADDED", change.manifest)

    def _event(self, how: str, manifest: Json) -> bytes:
        shown = formed(self._address.kind, manifest, self._accept, self._query, datetime.now(UTC))
        if wanted_form(self._accept) == "Table" and not self._headers:
            shown["columnDefinitions"] = None
        self._headers = False
        return _encoded({"type": how, "object": shown})

    def _bookmark(self, annotations: Mapping[str, str]) -> bytes:
        metadata: Json = {"resourceVersion": str(self._cluster.store.revision), "creationTimestamp": None}
        metadata |= {"annotations": dict(annotations)} if annotations else {}
        kind = self._address.kind
        return _encoded(
            {
                "type": "BOOKMARK",
                "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata},
            }
        )


def _encoded(event: Json) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
