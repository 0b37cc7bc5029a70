"""What a person sees while a run goes on: words from the crew, questions from the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Protocol

from rich.console import Console
from rich.markup import escape

SAID = {
    "phase": "[bold]{phase}[/]",
    "speak": "  [cyan]{role}[/]: {text}",
    "objection": "  [red]{role} objects[/] {rule} at {path}: {text}",
    "revision": "  [yellow]{role} revises[/]: {text}",
    "signed": "  [green]signed[/] {phase} {signoff}",
    "submitted": "  [green]done[/] {verb} {text}",
    "waiting": "  waiting: {text}",
    "note": "  {text}",
}
QUIET = frozenset({"report", "outcome", "not_understood"})
"""Their text stands in the document, which is shown at the end."""


def _plan(event: Mapping[str, Any]) -> str:
    """The plan's steps with their reasons and what they cite."""
    lines = [f"plan: {', '.join(map(str, event.get('phases') or ()))}"]
    for step in event.get("steps") or ():
        if isinstance(step, dict):
            lines.append(f"  {step.get('blueprint')}: {step.get('reason')}")
            lines += [f"    cites {cited}" for cited in step.get("citations") or ()]
    return "\n".join(lines)


class Show(Protocol):
    """Where progress goes and who answers questions."""

    def line(self, text: str) -> None:
        """One plain line of the launcher's own."""

    def event(self, event: Mapping[str, Any]) -> None:
        """One progress line of the crew: words to show, no facts."""

    def ask(self, question: str) -> bool:
        """Yes only when a person at a terminal typed y or yes."""


class ConsoleShow:
    """Colour on a terminal, plain lines when piped; never on stdout, which belongs to the answer."""

    def __init__(self, console: Console, answers: IO[str] | None) -> None:
        self._console, self._answers = console, answers

    def line(self, text: str) -> None:
        """As it is."""
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def event(self, event: Mapping[str, Any]) -> None:
        """In the form of its kind; an unknown kind is shown as it came, so that nothing is lost."""
        kind = str(event.get("event"))
        if kind in QUIET:
            return
        if kind == "plan":
            self.line(_plain(_plan(event)))
            return
        fields = {key: escape(_plain(str(value))) for key, value in event.items()}
        try:
            said = SAID[kind].format(**fields)
        except KeyError:
            said = "  " + " ".join(f"{key}={value}" for key, value in fields.items())
        self._console.print(said, highlight=False, soft_wrap=True)

    def ask(self, question: str) -> bool:
        """Without a terminal nobody can answer, and the answer is no."""
        if self._answers is None:
            self.line(f"{question} no (nobody is here to answer)")
            return False
        self._console.print(escape(question) + " [y/N] ", end="", highlight=False)
        return self._answers.readline().strip().lower() in {"y", "yes"}


def _plain(text: str) -> str:
    """Text from the crew cannot move the cursor or recolour the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
