"""The store: revisions only rise, watches go on or are told that they cannot, and files hold what was written."""

from __future__ import annotations

from pathlib import Path

from tools.sandbox.cluster.kinds import BY_KIND
from tools.sandbox.cluster.store import Store

CONFIG = BY_KIND["v1", "ConfigMap"]


def put(store: Store, name: str, **data: str) -> int:
    return int(
        store.put(CONFIG, {"metadata": {"namespace": "web", "name": name}, "data": data})["metadata"][
            "resourceVersion"
        ]
    )


def test_every_write_rises_and_is_told() -> None:
    store = Store(":memory:")
    seen: list[tuple[str, int]] = []
    stop = store.listen(lambda change: seen.append((change.type, change.revision)))
    first, second = put(store, "a"), put(store, "a", x="1")
    store.delete(CONFIG, "web", "a")
    stop()
    put(store, "b")
    assert first < second
    assert seen == [("ADDED", first), ("MODIFIED", second), ("DELETED", second + 1)]


def test_a_stored_object_is_replaced_not_changed() -> None:
    store = Store(":memory:")
    put(store, "a", x="1")
    before = store.get(CONFIG, "web", "a")
    put(store, "a", x="2")
    assert before is not None
    assert before["data"] == {"x": "1"}


def test_a_watch_goes_on_from_what_the_log_still_has() -> None:
    store = Store(":memory:")
    first = put(store, "a")
    put(store, "b")
    changes = store.since(CONFIG, first)
    assert changes is not None
    assert [change.manifest["metadata"]["name"] for change in changes] == ["b"]


def test_a_watch_from_before_the_log_is_told() -> None:
    store = Store(":memory:")
    first = put(store, "a")
    for number in range(5001):
        put(store, "b", x=str(number))
    assert store.since(CONFIG, first) is None


def test_a_restart_keeps_objects_and_never_gives_a_revision_twice(tmp_path: Path) -> None:
    first = Store(tmp_path / "db")
    put(first, "a", x="1")
    gone = put(first, "b")
    first.delete(CONFIG, "web", "b")
    first.close()
    second = Store(tmp_path / "db")
    assert [item["metadata"]["name"] for item in second.items(CONFIG)] == ["a"]
    assert put(second, "c") > gone + 1
    assert second.since(CONFIG, gone) is None
