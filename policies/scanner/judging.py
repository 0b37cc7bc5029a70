"""What the worker answers: checkov alone, or the whole scan with checkov in the same process."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from policies.change import digest_of
from policies.rego import RegoFaultError
from policies.scan import ScanContext, scan
from policies.scanner.client import ScannerReport
from policies.scanner.scan import WARM_UP, scan_tree


class _Here:
    """checkov in this very process: a Scanner for the scan that already runs in the worker."""

    def scan(self, files: Mapping[str, bytes]) -> ScannerReport:
        """What the worker would have answered."""
        return ScannerReport.model_validate(scan_tree(files))


def warm_up() -> None:
    """Import every engine and judge once."""
    scan(WARM_UP, set(WARM_UP), context=ScanContext(), scanner=_Here())


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request, without its id."""
    if "files" in request:
        return scan_tree(_decoded(request["files"]))
    asked = request["judge"]
    tree = _decoded(asked["tree"])
    try:
        result = scan(
            tree,
            set(asked["changed"]),
            context=ScanContext.model_validate(asked["context"]),
            scanner=_Here(),
            base=None if asked["base"] is None else _decoded(asked["base"]),
        )
    except RegoFaultError as error:
        return {"error": str(error)}
    files = {path: digest_of(data) for path, data in sorted(tree.items())}
    return {"files": files, "result": result.model_dump(mode="json")}


def _decoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: base64.b64decode(data, validate=True) for path, data in files.items()}
