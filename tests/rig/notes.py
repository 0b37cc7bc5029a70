"""What `observe.py` writes with: a page that grows, and a watch that remembers."""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Self

from tests.rig.api import Answer, Api


class Notes:
    """The page, printed as it grows."""

    def __init__(self, secret_ports: dict[str, str]) -> None:
        self._ports = secret_ports

    def title(self, text: str) -> None:
        print(f"\n## {text}\n")

    def say(self, text: str) -> None:
        print(f"{text}\n", flush=True)

    def show(self, label: str, value: Any) -> None:
        text = json.dumps(trim(value), indent=1, ensure_ascii=False)
        for port, name in self._ports.items():
            text = text.replace(f":{port}", f":{name}")
        print(f"**{label}**\n\n```json\n{text}\n```\n", flush=True)

    def answer(self, label: str, answer: Answer) -> None:
        heard = "".join(f"; `Warning: {each}`" for each in answer.warnings)
        self.show(f"{label}: HTTP {answer.status}{heard}", answer.body)


def trim(value: Any) -> Any:
    """The same without managedFields, at any depth."""
    if isinstance(value, dict):
        return {key: trim(each) for key, each in value.items() if key != "managedFields"}
    return [trim(each) for each in value] if isinstance(value, list) else value


def until(ask: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 30) -> Any:
    """The first answer that is wanted; the last one after the deadline, for the page to show what it was instead."""
    deadline = time.monotonic() + seconds
    while not wanted(answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


class Watch:
    """Collects what a watch of these paths says within the block, in the order of arrival."""

    def __init__(self, api: Api, *paths: str) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._api, self._paths = api, paths
        self._threads = [threading.Thread(target=self._follow, args=(path,), daemon=True) for path in paths]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _follow(self, path: str) -> None:
        context = ssl.create_default_context(cafile=str(self._api.authority))
        request = urllib.request.Request(
            f"{self._api.url}{path}?watch=true&timeoutSeconds=6",
            headers={"Authorization": f"Bearer {self._api.token}"},
        )
        with urllib.request.urlopen(request, context=context, timeout=30) as stream:
            for line in stream:
                event = json.loads(line)
                self.seen.append((event["type"], event["object"]))
