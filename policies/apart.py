"""The whole scan in the worker: the caller parses nothing but the worker's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from pydantic import ValidationError

from policies.change import Digest, Word
from policies.scan import ScanContext, ScanResult
from policies.scanner.client import ScannerFaultError, ScannerProcess, account_for, encoded


class _Answer(Word):
    files: Mapping[str, Digest]
    result: ScanResult


def scan_apart(
    tree: Mapping[str, bytes],
    changed: AbstractSet[str],
    *,
    context: ScanContext,
    process: ScannerProcess,
    base: Mapping[str, bytes] | None = None,
) -> ScanResult:
    """`policies.scan.scan` in the worker. Every engine runs there, so `context.without` must be empty.

    Raises ScannerFaultError when the worker fails, or its answer does not account for every file of the tree.
    """
    if context.without:
        raise ScannerFaultError(
            f"the worker has every engine; it is not asked to judge without {sorted(context.without)}"
        )
    asked = {
        "tree": encoded(tree),
        "changed": sorted(changed),
        "context": context.model_dump(mode="json"),
        "base": None if base is None else encoded(base),
    }
    try:
        answer = _Answer.model_validate(process.ask({"judge": asked}))
    except ValidationError as error:
        raise ScannerFaultError(f"the worker's answer has another shape: {error}") from error
    account_for(answer.files, tree)
    if set(answer.result.judged) != {path for path in changed if path in tree}:
        raise ScannerFaultError("the worker did not judge exactly the files of the change")
    return answer.result
