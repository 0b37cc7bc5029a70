"""Who may make what GitHub makes again each time it is asked: a dispatched run, a comment.

GitHub has no create-only form of these, but of a reference it has. So whoever is about to make one first creates
`refs/countersign/CHANGE/WHAT/1`, outside of branches and tags, which starts no workflow. Of two gates on two machines one
gets it. The other waits for what the first one makes; when nothing comes, the first one died, and the next number is
contended for in the same way. A process that slept for longer than the patience between its claim and its call could
still be the second: nothing at GitHub can tell it so.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from tools.github.repository import LiveRepository
from tools.github.shapes import Ref
from tools.verbs import ConflictError

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 3.0


class Claims:
    """Claims in one repository; `patience` in seconds, by `clock`."""

    def __init__(
        self,
        repository: LiveRepository,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        patience: float = 60.0,
    ) -> None:
        self._repository = repository
        self._sleep, self._clock, self._patience = sleep, clock, patience

    def take(self, name: str, commit: str, there: Callable[[], bool]) -> None:
        """Return as the one to make it now. Raises ConflictError once somebody else's is there, and other TargetErrors.

        `name` is CHANGE/WHAT; `commit` is any commit that the repository has; `there` looks for what is to be made.
        """
        number = 1
        while not self._created(name, number, commit):
            number = self._claims(name)
            if self.appears(there):
                raise ConflictError(f"another gate made it: {name} is there already")
            number += 1

    def appears(self, there: Callable[[], bool]) -> bool:
        """Whether it is there before the patience ends. Raises TargetError."""
        end, pause = self._clock() + self._patience, _FIRST_PAUSE
        while not there():
            if self._clock() >= end:
                return False
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return True

    def _created(self, name: str, number: int, commit: str) -> bool:
        body = {"ref": f"refs/countersign/{name}/{number}", "sha": commit}
        try:
            self._repository.client.tell("POST", f"{self._repository.path}/git/refs", body)
        except ConflictError:
            if self._claims(name) < number:
                raise  # refused for another reason than that it is there
            return False
        return True

    def _claims(self, name: str) -> int:
        """How many claims there are under a name."""
        path = f"{self._repository.path}/git/matching-refs/countersign/{quote(name)}"
        return len(self._repository.client.many(Ref, path))
