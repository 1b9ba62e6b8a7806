"""Exit codes, and the errors of the command itself."""

from __future__ import annotations

from ..errors import (
    AuthenticationError,
    LossyTextWarning,
    OutcomeUnknown,
    SoapMailError,
    TransportError,
)

OK, REFUSED, USAGE, AUTHENTICATION, NETWORK, UNKNOWN, UNSHOWN, INTERRUPTED = *range(7), 130


class UsageError(Exception):
    """What the caller asked for cannot be done as asked."""


class Declined(Exception):
    """The caller was asked and said no."""


class NotFound(Exception):
    """There is no such thing."""


class Unshown(Exception):
    """It happened, and only what was to be printed of it could not be."""


class Stopped(Exception):
    """A signal came while something was being changed; as an error, so that a call can name it."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.number = number


class Doubtful(Exception):
    """It is not known whether something happened; what is known was said."""


KNOWN = (
    SoapMailError,
    Doubtful,
    LossyTextWarning,
    UsageError,
    Declined,
    NotFound,
    Unshown,
    ValueError,
    ImportError,
    OSError,
)


def code_of(error: BaseException) -> int:
    """Give the exit code that an error means."""
    if isinstance(error, (OutcomeUnknown, Doubtful)):
        return UNKNOWN
    if isinstance(error, Unshown):
        return UNSHOWN
    if isinstance(error, TransportError):
        return NETWORK
    if isinstance(error, AuthenticationError):
        return AUTHENTICATION
    return REFUSED if isinstance(error, (SoapMailError, Declined, NotFound, OSError)) else USAGE


def words_of(error: BaseException) -> str:
    """Say an error in one line."""
    if isinstance(error, OSError) and error.strerror:
        where = "cannot read or write" if error.filename is None else str(error.filename)
        return f"{where}: {error.strerror}"
    return " ".join(str(error).split())


def counted(count: int, noun: str) -> str:
    """Write a number and what it counts."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
