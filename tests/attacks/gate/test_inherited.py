"""What a child of the launcher inherits: the pipes that it was given, and an environment without a secret."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from policies.change import Word
from tools.launch.processes import House, pair

SECRET = "MARKED-SECRET-41c9"
DUMP = (
    "import json, os, sys\n"
    "told = os.fdopen(int(sys.argv[sys.argv.index('--settings-fd') + 1])).read()\n"
    "fds = {}\n"
    "for name in os.listdir('/proc/self/fd'):\n"
    "    try: fds[name] = os.readlink('/proc/self/fd/' + name)\n"
    "    except OSError: pass\n"
    "open(sys.argv[1], 'w').write(json.dumps({'environ': dict(os.environ), 'fds': fds, 'told': told}))\n"
)


class Nothing(Word):
    """Settings without a word."""


def test_a_child_has_its_pipes_and_nothing_else(tmp_path: Path) -> None:
    """The launcher holds secrets in its environment and in inheritable descriptors; a stand-in for the crew says what it got."""
    (tmp_path / "token").write_text(SECRET)
    held = os.open(tmp_path / "token", os.O_RDONLY)
    os.set_inheritable(held, True)
    others = pair()
    for number in others:
        os.set_inheritable(number, True)
    environ = {
        "PATH": os.environ["PATH"],
        "GITHUB_TOKEN": SECRET,
        "KUBECONFIG": SECRET,
        "OPENAI_API_KEY": SECRET,
        "LD_PRELOAD": SECRET,
    }
    dump = tmp_path / "dump.json"
    ours, theirs = pair()
    with House(tmp_path, environ) as house:
        child = house.start("stand-in", [sys.executable, "-P", "-c", DUMP, str(dump)], [theirs])
        child.tell(Nothing())
        assert child.process.wait(30) == 0, child.tail()
    for number in (held, ours, *others):
        os.close(number)
    said = json.loads(dump.read_text())
    assert SECRET not in json.dumps(said)
    assert set(said["environ"]) <= {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8", "HOME", "LC_CTYPE"}
    links = {int(number): link for number, link in said["fds"].items()}
    assert links.pop(0) == "/dev/null"
    logs = {links.pop(1), links.pop(2)}
    assert logs == {str(tmp_path / "stand-in.log")}
    rest = [link for link in links.values() if not link.startswith("/proc/")]
    assert len(rest) == 1, rest
    assert rest[0].startswith("socket:")
