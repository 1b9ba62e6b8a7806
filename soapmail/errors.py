"""The errors that soapmail raises.

SoapMailError
 +- TransportError        no usable HTTP response: refused, timed out, TLS, a redirect, an error
 |   +- OutcomeUnknown    a changing operation left and got no clear response
 +- ResponseError         a response that is not what SOAP or the contract promises
 +- SoapFault             the server answered with a fault
 +- OperationFailed       the server answered with a status that is not "ok"
 +- AuthenticationError   the login or a new session was refused
LossyTextWarning          (a UserWarning) a value holds text that the server will not keep
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "LossyTextWarning",
    "OperationFailed",
    "OutcomeUnknown",
    "ResponseError",
    "SoapFault",
    "SoapMailError",
    "TransportError",
]

# The problem of a ResponseError that may mean a refused session.
NO_FIELDS = "a struct without fields"
MAX_VALUE_CHARACTERS = 100  # of a value that an error shows


def truncate(text: str, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """Return what an error can show of a text, its end where it begins with an ellipsis.

    Secrets are looked for before this: half of one would not be found.
    """
    if len(text) <= limit:
        return text
    return text[-limit:] if text.startswith("…") else f"{text[: limit - 1]}…"


def missing_package_error(package: str, error: ImportError) -> ImportError:
    """Return the error that says which package is missing, in place of where it was missed."""
    return ImportError(
        f"soapmail needs {package} ({error}); install it with: pip install {package}"
    )


class SoapMailError(Exception):
    """Base of all errors of this package.

    All that an error knows is in ``args``, so that it pickles, copies and compares.
    """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.args == getattr(other, "args", None)

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class TransportError(SoapMailError):
    """No usable HTTP response arrived.

    ``status`` is the HTTP status; ``None``: no status line arrived.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class OutcomeUnknown(TransportError):
    """A changing operation was sent and got no clear response: it may or may not have happened.

    Look at the account before you repeat it.
    """


def outcome_unknown(operation: str, reason: str, status: int | None = None) -> OutcomeUnknown:
    """Return the error of a changing operation that may or may not have happened."""
    verb = "been sent" if operation == "api_send_mail" else "happened"
    return OutcomeUnknown(
        f"{operation}: it may or may not have {verb}; check before repeating: {reason}", status
    )


class ResponseError(SoapMailError):
    """A response is not what SOAP or the contract promises.

    ``place`` says where in the response, ``value`` what stood there (shortened); ``None``: the
    whole response is meant.
    """

    def __init__(
        self,
        problem: str,
        operation: str | None = None,
        place: str | None = None,
        value: str | None = None,
    ) -> None:
        super().__init__(problem, operation, place, value)
        self.problem = problem
        self.operation = operation
        self.place = place
        self.value = value

    def __str__(self) -> str:
        places = [place for place in (self.operation, self.place) if place]
        value = "" if self.value is None else f": {self.value!r}"
        return ": ".join([*places, self.problem]) + value


class SoapFault(SoapMailError):
    """The server answered with a SOAP fault; all four parts are as it wrote them."""

    def __init__(self, code: str, text: str, actor: str = "", detail: str = "") -> None:
        super().__init__(code, text, actor, detail)
        self.code = code
        self.text = text
        self.actor = actor
        self.detail = detail

    def __str__(self) -> str:
        return f"SOAP fault {self.code}: {self.text}"


class OperationFailed(SoapMailError):
    """The server answered with a status other than "ok"; both texts are as it wrote them."""

    def __init__(self, status: str, status_text: str | None = None) -> None:
        super().__init__(status, status_text)
        self.status = status
        self.status_text = status_text

    def __str__(self) -> str:
        return f"the server answered {self.status!r}: {self.status_text or 'no reason given'}"


class AuthenticationError(SoapMailError):
    """The login gave no session, or the server refused a session right after it."""


class LossyTextWarning(UserWarning):
    """A value holds text outside ISO-8859-1, which the server turns into question marks."""
