"""A bare git repository behind HTTP on loopback, for the proof that real Argo CD fetches what was committed.

git's own CGI program (`git http-backend`) does all the work. The runs of Countersign use the sandbox's server.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "rig"), ("EMAIL", "rig@example.invalid"))
}


class Backend(BaseHTTPRequestHandler):
    """Hands each request to `git http-backend` as RFC 3875 says; `root` is set by the server below."""

    root: Path

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        meta = {
            "PATH": os.defpath,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(["git", "http-backend"], env=meta, input=body, capture_output=True, check=False)
        if not done.stdout:  # with an answer, a failure is git's word to its client ("not our ref")
            self.send_error(500, explain=done.stderr.decode())
            return
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        self.send_response(next((int(value[:3]) for name, value in fields if name == "Status"), 200))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: pytest's output is for the tests."""


@contextmanager
def serve(root: Path) -> Iterator[str]:
    """Serve the bare repositories under `root`; the URL without a final slash."""
    handler = type("RootedBackend", (Backend,), {"root": root})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def commit(root: Path, name: str, files: Mapping[str, str]) -> str:
    """Put these files as the one commit of branch `main` into the bare repository `root/name`; its SHA."""
    bare = root / name
    tree = root / f"{name}.tree"
    for path, content in files.items():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    _git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    both = (f"--git-dir={bare}", f"--work-tree={tree}")
    _git(*both, "add", "--all")
    _git(*both, "commit", "--quiet", "--message=Add the web app")
    return _git(*both, "rev-parse", "HEAD")


def _git(*arguments: str) -> str:
    environment = {"PATH": os.defpath, "HOME": os.devnull, **AUTHOR}
    done = subprocess.run(["git", *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
