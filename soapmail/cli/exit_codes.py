"""Exit codes, and the errors of the command itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import (
    AuthenticationError,
    LossyTextWarning,
    OutcomeUnknown,
    SoapMailError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

OK, REFUSED, USAGE, AUTHENTICATION, NETWORK, UNKNOWN, OUTPUT_FAILED, INTERRUPTED = *range(7), 130


class UsageError(Exception):
    """What the caller asked for cannot be done as asked."""


class Cancelled(Exception):
    """The caller was asked and said no."""


class NotFound(Exception):
    """There is no such thing."""


class OutputFailed(Exception):
    """It happened, and only what was to be printed of it could not be."""


class Interrupted(Exception):
    """A signal came while something was being changed; as an error, so that a call can name it."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.number = number


class OutcomeUncertain(Exception):
    """It is not known whether something happened; the text says what is known.

    ``advice``: lines that say what to do about it.
    """

    def __init__(self, message: str, advice: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.advice = advice


# What ends the command with a message; anything else is a defect, and shows its traceback.
EXPECTED_ERRORS = (
    SoapMailError,
    OutcomeUncertain,
    LossyTextWarning,
    UsageError,
    Cancelled,
    NotFound,
    OutputFailed,
    ValueError,
    ImportError,
    OSError,
)


# The first that an error is counts: an OutcomeUnknown is a TransportError too.
_CODES = (
    ((OutcomeUnknown, OutcomeUncertain), UNKNOWN),
    (OutputFailed, OUTPUT_FAILED),
    (TransportError, NETWORK),
    (AuthenticationError, AUTHENTICATION),
    ((SoapMailError, Cancelled, NotFound, OSError), REFUSED),
)


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error means."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), USAGE)


def error_message(error: BaseException) -> str:
    """Return an error in one line; its kind, where it has no text."""
    if isinstance(error, OSError) and error.strerror:
        where = "cannot read or write" if error.filename is None else str(error.filename)
        return f"{where}: {error.strerror}"
    text = " ".join(line.strip() for line in str(error).splitlines()).strip()
    kind = "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
    return text or kind
