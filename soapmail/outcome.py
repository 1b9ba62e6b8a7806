"""What one attempt came to, and whether it may mean that the session is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import NO_FIELDS, OperationFailed, ResponseError, SoapFault, SoapMailError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Outcome(NamedTuple):
    """What one attempt came to: a value, or an error that says why there is none."""

    value: Any = None
    error: SoapMailError | None = None
    # Whether the same request may well work a moment later, and when the server asks for it.
    transient: bool = False
    retry_after: float | None = None
    # What had to be put right in a response that is believed.
    repairs: Sequence[str] = ()

    def is_refused(self) -> bool:
        """Tell whether the response says in words that the session is not valid."""
        words: object = None
        if isinstance(self.error, SoapFault):
            words = self.error.text
        elif isinstance(self.error, OperationFailed):
            words = self.error.status_text
        elif isinstance(self.value, dict):
            status = self.value.get("status")
            if isinstance(status, str) and status.strip().encode().lower() != b"ok":
                words = self.value.get("status_text")
        return isinstance(words, str) and "invalid session" in words.lower()

    def is_unserializable(self) -> bool:
        """Tell whether it is the fault for a refused session, or for what does not exist."""
        fault = self.error
        return isinstance(fault, SoapFault) and "unable to serialize result" in fault.text.lower()

    def is_empty(self) -> bool:
        """Tell whether it is a list of no rows, as of a refused session or an empty account."""
        return self.error is None and self.value == []

    def is_doubtful(self) -> bool:
        """Tell whether the response may mean a refused session, or just what it says."""
        if isinstance(self.error, ResponseError):
            return self.error.problem == NO_FIELDS
        return self.is_unserializable() or (self.error is None and self.value in ([], {}))
