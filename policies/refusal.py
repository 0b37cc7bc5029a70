"""What a refusal is: a named class that says why and what to do next. Any other exception is a fault of ours."""

from __future__ import annotations

import re
from typing import ClassVar


class GateError(Exception):
    """No. `name` is stable (kebab-case), `advice` says what to do; every subclass is one closed way in."""

    advice: ClassVar[str] = "Judge the change again and ask for a new sign-off."

    def __init__(self, message: str) -> None:
        super().__init__(f"{self.name}: {message} {self.advice}")
        self.message = message

    @property
    def name(self) -> str:
        """`ExpiredError` is `expired`."""
        plain = type(self).__name__.removesuffix("Error")
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", plain).lower()


class SignoffError(GateError):
    """The sign-off itself is not acceptable, whatever it is asked to unlock."""


class OversizeError(SignoffError):
    """More bytes than this kind of document may have."""

    advice = "Split the change into smaller ones."


class MalformedError(SignoffError):
    """Not one strict JSON document: duplicate keys, NaN, lone surrogates, odd depth or syntax."""

    advice = "Use the bytes that the notary wrote, unchanged."


class UnknownShapeError(SignoffError):
    """Strict JSON, but not the words that it should be: unknown, missing or mistyped fields."""

    advice = "Use the bytes that the notary wrote, unchanged; another version of this program may have written these."


class NotCanonicalError(SignoffError):
    """The right words in another spelling; one value has one form here (RFC 8785)."""

    advice = "Use the bytes that the notary wrote, unchanged."
