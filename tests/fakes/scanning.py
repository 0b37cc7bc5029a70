"""A scanner that says what it is told to, and short ways to judge one text."""

from __future__ import annotations

from collections.abc import Mapping

from policies.change import digest_of
from policies.finding import Finding, ImageFacts
from policies.scan import ScanContext, scan
from policies.scanner.client import Record, ScannerReport

NGINX = "docker.io/library/nginx"
SIBLING = "docker.io/nginxinc/nginx-unprivileged"
BUSYBOX = "docker.io/library/busybox"
DIGEST = "sha256:" + "a" * 64
SIBLING_DIGEST = "sha256:" + "b" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLONE_URL = "http://git.example/acme/platform.git"

CONTEXT = ScanContext(
    images={
        NGINX: ImageFacts(repository=NGINX, digest=DIGEST, user=0, unprivileged_sibling=SIBLING),
        SIBLING: ImageFacts(repository=SIBLING, digest=SIBLING_DIGEST, user=101),
        BUSYBOX: ImageFacts(repository=BUSYBOX, digest=DIGEST, user=0),
    },
    action_pins={"actions/checkout@v4": COMMIT},
    allowed_registries=frozenset({"docker.io"}),
    allowed_providers=frozenset({"hashicorp/aws"}),
    clone_url=CLONE_URL,
    expected_commit=COMMIT,
    rehearsal=True,
)


class FixedScanner:
    """Accounts for every file and reports the records that it was made with."""

    def __init__(
        self, *records: Record, unread: tuple[str, ...] = (), parsing_errors: tuple[str, ...] = ()
    ) -> None:
        self.records = records
        self.unread = unread
        self.parsing_errors = parsing_errors
        self.seen: list[str] = []

    def scan(self, files: Mapping[str, bytes]) -> ScannerReport:
        self.seen = sorted(files)
        return ScannerReport(
            scanner="checkov@0",
            files={path: digest_of(data) for path, data in files.items()},
            unread=self.unread,
            records=self.records,
            parsing_errors=self.parsing_errors,
        )


def judge(files: Mapping[str, str], context: ScanContext = CONTEXT) -> tuple[Finding, ...]:
    """Our own findings on files that are all new."""
    tree = {path: text.encode() for path, text in files.items()}
    return scan(tree, set(tree), context=context, scanner=FixedScanner()).findings


def rules(findings: tuple[Finding, ...]) -> set[str]:
    """The ids of the rules that are broken."""
    return {finding.rule for finding in findings}
