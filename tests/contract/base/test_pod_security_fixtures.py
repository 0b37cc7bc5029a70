"""Our Pod Security against the fixtures of Kubernetes' own admission, every version, when the Go module is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from policies.pod_security import Level, violations


def fixtures() -> Path | None:
    """The newest testdata folder of k8s.io/pod-security-admission in the Go module cache."""
    go = shutil.which("go")
    if go is None:
        return None
    cache = subprocess.run(
        [go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True
    ).stdout.strip()
    found = sorted(Path(cache).glob("k8s.io/pod-security-admission@*/test/testdata"))
    return found[-1] if found else None


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_every_fixture_of_every_version_is_judged_as_the_admission_does(level: Level) -> None:
    root = fixtures()
    if root is None:
        pytest.skip("k8s.io/pod-security-admission is not in the Go module cache")
    wrong, judged = [], 0
    for path in sorted((root / level).glob("v1.*/*/*.yaml")):
        pod = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
        minor = int(path.parts[-3].partition(".")[2])
        failed = bool(violations(pod["spec"], level, metadata=pod["metadata"], minor=minor))
        judged += 1
        if failed != (path.parts[-2] == "fail"):
            wrong.append(path.relative_to(root).as_posix())
    assert wrong == []
    assert judged > 1000
