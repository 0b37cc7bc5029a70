"""The one door to PyGithub: one HTTP call at a time, each with a deadline, every failure a TargetError.

The vendor gives addresses, credentials and pooled connections; nothing is retried and nothing here logs a token.
"""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import requests
from github.Auth import Token
from github.Requester import HTTPRequestsConnectionClass, HTTPSRequestsConnectionClass, Requester
from pydantic import BaseModel, ValidationError

from tools.github.refusals import refusal
from tools.settings import GitHubSettings
from tools.verbs import TargetError, UnauthorizedError, UnreachableError, unhindered

M = TypeVar("M", bound=BaseModel)
DEADLINE = 15
_PAGE = 100
_CHUNK = 2**16
_ACCEPT = "application/vnd.github+json"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Direct(HTTPRequestsConnectionClass):
    """A connection that never goes through a proxy: loopback is this machine."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the vendor's signature
        super().__init__(*arguments, **options)
        self.session.trust_env = False


class _LoopbackRequester(Requester):
    """The vendor's requester with connections of its own kind."""


_LoopbackRequester.injectConnectionClasses(_Direct, HTTPSRequestsConnectionClass)


def connect(
    settings: GitHubSettings, *, deadline: int = DEADLINE, before_write: Callable[[], None] = unhindered
) -> Client:
    """A client for the GitHub that the settings mean; nothing is called yet. Raises TargetError, UnauthorizedError.

    `before_write` is called before each request that would change something, and may raise.
    """
    return Client(settings.api_url, _token(settings.token_file), deadline=deadline, before_write=before_write)


def _token(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="utf-8").strip()
    except OSError as fault:
        raise UnauthorizedError(
            f"{path} cannot be read ({fault.strerror}): write the GitHub token there, mode 600"
        ) from fault
    except UnicodeDecodeError as fault:
        raise UnauthorizedError(
            f"{path} holds no text: write the GitHub token there, and nothing else"
        ) from fault
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise UnauthorizedError(
            f"{path} can be read by others than its owner: chmod 600 it, and renew the token"
        )
    if not re.fullmatch(r"[!-~]{1,1000}", token):
        raise UnauthorizedError(
            f"{path} holds no token: it should be one line without spaces, as GitHub showed it"
        )
    return token


def _address(api_url: str) -> SplitResult:
    """The parts of an API address. Raises TargetError for one that a token must not be sent to."""
    try:
        parts = urlsplit(api_url.rstrip("/"))
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError as fault:
        raise TargetError(
            "[github] api_url is no address: use https://api.github.com, or https://HOST/api/v3"
        ) from fault
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or not port_is_a_number
        or parts.query
        or parts.fragment
    ):
        raise TargetError(
            "[github] api_url is no address: use https://api.github.com, or https://HOST/api/v3"
        )
    if parts.username or parts.password:
        raise TargetError("[github] api_url holds a credential: put the token into token_file alone")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise TargetError(f"[github] api_url would send the token to {parts.hostname} in clear: use https")
    return parts


class Client:
    """Calls to one GitHub. Safe to use from one thread at a time."""

    def __init__(
        self,
        api_url: str,
        token: str,
        *,
        deadline: int = DEADLINE,
        clock: Callable[[], float] = time.time,
        before_write: Callable[[], None] = unhindered,
    ) -> None:
        parts = _address(api_url)
        self.host: str = parts.netloc
        self._secure = parts.scheme == "https"
        self._token, self._deadline, self._clock = token, deadline, clock
        self._base, self._before_write = parts.geturl(), before_write
        local = parts.hostname in _LOOPBACK
        self._requester = (_LoopbackRequester if local and not self._secure else Requester)(
            auth=Token(token), base_url=self._base, timeout=deadline, user_agent="countersign", per_page=_PAGE, verify=True,
            retry=None, pool_size=None, seconds_between_requests=0, seconds_between_writes=0,
        )  # fmt: skip
        self._plain = requests.Session()
        self._plain.trust_env = not local

    def close(self) -> None:
        """Close pooled connections."""
        self._requester.close()
        self._plain.close()

    def one(self, kind: type[M], path: str, *, query: Mapping[str, str] | None = None) -> M:
        """What GET answers. Raises TargetError."""
        return self._shaped(kind, self._call("GET", path, query, None), path)

    def send(self, kind: type[M], method: str, path: str, body: Mapping[str, Any]) -> M:
        """Change something once and return what the answer says of it. Raises TargetError."""
        return self._shaped(kind, self._call(method, path, None, body), path)

    def tell(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """Change something once; the answer's body is not read. Raises TargetError."""
        self._call(method, path, None, body)

    def many(
        self,
        kind: type[M],
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        key: str = "",
        most: int = 1000,
    ) -> tuple[M, ...]:
        """Up to `most` items of a paged list, in the server's order; `key` names the list where it is wrapped."""
        found: list[M] = []
        for page in range(1, most // _PAGE + 2):
            asked = {**(query or {}), "per_page": str(_PAGE), "page": str(page)}
            answer = self._call("GET", path, asked, None)
            items = answer.get(key) if key and isinstance(answer, dict) else answer
            if not isinstance(items, list):
                raise self._strange(path)
            found += [self._shaped(kind, item, path) for item in items]
            if len(items) < _PAGE or len(found) >= most:
                break
        return tuple(found[:most])

    def download(self, path: str, most: int) -> bytes:
        """The bytes behind a path or its redirect, at most `most`; the redirect never sees the token. Raises TargetError."""
        headers = {"User-Agent": "countersign", "Accept": _ACCEPT}
        answer = self._fetch(self._base + path, {**headers, "Authorization": f"Bearer {self._token}"}, path)
        if answer.status_code in _REDIRECTS:
            location = answer.headers.get("location", "")
            answer.close()
            if urlsplit(location).scheme not in ({"https"} if self._secure else {"http", "https"}):
                raise self._strange(path)
            answer = self._fetch(location, {"User-Agent": "countersign"}, path)
        with answer:
            data = self._read(answer, path, most)
        if answer.status_code != 200:
            raise self._refused(
                "GET", path, answer.status_code, answer.headers, data.decode(errors="replace")
            )
        return data

    def _fetch(self, url: str, headers: Mapping[str, str], path: str) -> requests.Response:
        try:
            return self._plain.get(
                url, headers=headers, timeout=self._deadline, allow_redirects=False, stream=True
            )
        except (requests.RequestException, ValueError) as fault:
            raise self._silent("GET", path, fault) from None

    def _read(self, answer: requests.Response, path: str, most: int) -> bytes:
        data, end = bytearray(), self._clock() + 4 * self._deadline
        try:
            for chunk in answer.iter_content(_CHUNK):
                data += chunk
                if len(data) > most:
                    raise TargetError(f"{self.host} sent more than {most} bytes for {path}: it is not read")
                if self._clock() > end:
                    raise UnreachableError(f"{self.host} sends {path} too slowly: try again later")
        except requests.RequestException as fault:
            raise self._silent("GET", path, fault) from None
        return bytes(data)

    def _call(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> Any:  # noqa: ANN401 - any JSON value
        if method != "GET":
            self._before_write()
        try:
            status, headers, text = self._requester.requestJson(
                method, path, dict(query or {}), {"Accept": _ACCEPT}, dict(body) if body is not None else None
            )
        except requests.RequestException as fault:
            # Not chained: the vendor's error carries the request, and with it the token.
            raise self._silent(method, path, fault) from None
        except RuntimeError as fault:  # the vendor's word for a redirect to another host
            raise TargetError(
                f"{self.host} redirects {path} elsewhere: set [github] api_url to the address it names"
            ) from fault
        if not 200 <= status < 300:
            raise self._refused(method, path, status, headers, text)
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise self._strange(path) from None

    def _shaped(self, kind: type[M], answer: object, path: str) -> M:
        try:
            return kind.model_validate(answer)
        except ValidationError as fault:
            raise self._strange(path, f" ({'.'.join(map(str, fault.errors()[0]['loc']))})") from None

    def _strange(self, path: str, where: str = "") -> TargetError:
        return TargetError(
            f"{self.host} answered {path} with something else than GitHub's API does{where}: check [github] api_url"
        )

    def _silent(self, method: str, path: str, fault: Exception) -> UnreachableError:
        return UnreachableError(
            f"{self.host} gave no whole answer to {method} {path} within {self._deadline} s ({type(fault).__name__}): "
            "check that it can be reached from here; what was asked may or may not have happened"
        )

    def _refused(
        self, method: str, path: str, status: int, headers: Mapping[str, str], text: str
    ) -> TargetError:
        plain = text.replace(self._token, "***")
        lower = {name.lower(): value for name, value in headers.items()}
        return refusal(self.host, f"{method} {path}", status, lower, plain, self._clock())
