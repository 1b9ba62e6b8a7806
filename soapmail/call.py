"""One call: its deadline, its attempts, one renewal of the session, and what became of it."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import partial
from random import uniform
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import redaction
from .deadline import Deadline, Expired
from .errors import (
    AuthenticationError,
    OperationFailed,
    OutcomeUnknown,
    ResponseError,
    SoapFault,
    SoapMailError,
    TransportError,
    outcome_unknown,
)
from .extract import scalar, warn_of_repairs
from .operations import changes, may_change, takes_session
from .session import Login, Outcome, clocks
from .soap import repair as decoding
from .soap.document import Document
from .soap.envelope import Request, checked_name
from .transport.delivery import Exchange
from .transport.failures import phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .session import Setup
    from .soap.envelope import Value
    from .transport.response import Response

T = TypeVar("T")

_log = logging.getLogger("soapmail")
_PAUSES = (0.5, 1.0, 2.0)


class Call(Generic[T]):
    """One call of one operation; it holds all that is known of what happened.

    ``parse`` makes the value of the response; without it, a login is all there is to do.
    """

    def __init__(
        self,
        setup: Setup,
        request: Request,
        parse: Callable[[Document], T] | None,
        *,
        changing: bool,
        secrets: Sequence[str],
    ) -> None:
        self._setup = setup
        self._request = request
        self._parse = parse
        self._changing = changing
        self._deadline = Deadline(setup.timeout)
        self._secrets = {*secrets, *(setup.credentials or ())[1:]}
        # The last exchange of a changing operation, unless its response was a clear no.
        self._open: Exchange | None = None
        self._status: int | None = None
        self.failure: BaseException | None = None

    def run(self) -> T:
        """Return the value, or raise what ``leaving`` makes the error of that may leave.

        ValueError: the caller's session might send an operation again that changes something.
        """
        if self._parse is None:
            return self._login(anew=True).sid  # type: ignore[return-value]
        if self._changing:
            self._setup.change = None
            self._setup.transport.check()
        if takes_session(self._request.operation):
            return self._with_session()
        return self._settled(self._tried(None))

    @property
    def is_open(self) -> bool:
        """Whether a changing operation may have happened, and its response was no clear no."""
        return self._open is not None and self._open.sent

    def hidden(self, text: str | None) -> str | None:
        """Hide the secrets of this call in a text."""
        shown: str | None = redaction.hidden(text, self._secrets)
        return shown

    def leaving(self, error: BaseException) -> BaseException:
        """Make the error that leaves; where a signal comes in between, it is judged instead."""
        try:
            self.failure = redaction.without_frames(self._judged(error))
        except BaseException as later:
            self.failure = redaction.without_frames(self._judged(later))
        return self.failure

    def _judged(self, error: BaseException) -> BaseException:
        """Say of an error whether the operation may have happened, and hide secrets in it."""
        if self.is_open:
            if not isinstance(error, Exception):
                _warn_of_interruption(self._request.operation, error)
            elif not isinstance(error, OutcomeUnknown):
                error = self._unknown(error)
        if isinstance(error, SoapMailError):
            return redaction.outgoing(error, self._secrets)
        return error

    def _unknown(self, error: Exception) -> OutcomeUnknown:
        name = self._request.operation
        if isinstance(error, SoapMailError):
            reason = str(redaction.outgoing(error, self._secrets)).removeprefix(f"{name}: ")
            return outcome_unknown(name, reason, self._status)
        made = outcome_unknown(name, f"{type(error).__name__}: {error}".rstrip(": "))
        if isinstance(error, TimeoutError):  # of the caller, who may wait for it
            made.__cause__ = error
        return made

    # --- the session -------------------------------------------------------------------------

    def _with_session(self) -> T:
        login = self._login()
        outcome = self._tried(login)
        if outcome.is_refused():
            self._refused("and there is no password to log in with", last=not self._has_password)
        elif not self._is_worth_a_login(outcome, login):
            return self._settled(outcome)
        login = self._login(refused=login)
        outcome = self._tried(login)
        if outcome.is_refused():
            self._refused("right after a login", last=True)
        if outcome.is_unserializable():
            self._setup.session.login = login._replace(doubted=True)
        return self._settled(outcome)

    @property
    def _has_password(self) -> bool:
        return self._setup.credentials is not None

    def _refused(self, hint: str, *, last: bool) -> None:
        """Note that the operation was not done, as its session was refused."""
        self._open = self._setup.change = None
        if last:
            raise AuthenticationError(f"{self._request.operation}: the session was refused {hint}")

    def _is_worth_a_login(self, outcome: Outcome, login: Login) -> bool:
        """Tell whether a doubtful response may be another one with a new session."""
        if not outcome.is_doubtful() or self._changing:
            return False
        known = outcome.is_empty() or (login.doubted and outcome.is_unserializable())
        if login.is_fresh() and known:
            return False
        if not self._has_password and outcome.error is None:
            name = self._request.operation
            _log.warning("%s: nothing came back, which may mean a refused session", name)
        return self._has_password

    def _login(self, refused: Login | None = None, *, anew: bool = False) -> Login:
        login = self._setup.session.get(self._log_in, self._deadline, refused, anew=anew)
        self._secrets.add(login.sid)
        return login

    def _log_in(self) -> Login:
        if self._setup.credentials is None:
            raise ValueError("username and password, or a session_id, are needed for this")
        username, password = self._setup.credentials
        request = Request("api_login", {"username": username, "password": password}, template=True)
        started = clocks()
        outcome = self._attempts(request, None, partial(scalar, kind=str), changing=False)
        if outcome.error is not None:
            raise outcome.error
        if outcome.value is None or not outcome.value.strip():
            raise AuthenticationError("api_login: the server does not accept username and password")
        return Login(outcome.value, *started)

    # --- attempts ----------------------------------------------------------------------------

    def _tried(self, login: Login | None) -> Outcome:
        assert self._parse is not None
        return self._attempts(self._request, login, self._parse, changing=self._changing)

    def _settled(self, outcome: Outcome) -> T:
        """Return the value of the last attempt, or raise its error."""
        if self._changing and self._open is not None and outcome.is_doubtful():
            shown = outcome.value if outcome.error is None else outcome.error
            reason = f"the response may mean a refused session ({shown})"
            raise outcome_unknown(self._request.operation, reason)
        if isinstance(outcome.error, (SoapFault, OperationFailed)):
            self._open = None
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # type: ignore[no-any-return]

    def _attempts(
        self,
        request: Request,
        login: Login | None,
        parse: Callable[[Document], Any],
        *,
        changing: bool,
    ) -> Outcome:
        """Send a request, and again while that is safe and may help."""
        envelope = request.envelope(None if login is None else login.sid)
        attempt = 0
        while True:
            exchange = Exchange(self._deadline)
            if changing:
                self._open = self._setup.change = exchange
            sent = (request.operation, attempt + 1, envelope)
            outcome = self._attempt(sent, exchange, parse, fresh=changing)
            last = attempt >= self._setup.retries
            if last or not outcome.transient or (changing and exchange.sent):
                return outcome
            pause = _pause(attempt, outcome)
            if pause >= self._deadline.left():
                return outcome
            time.sleep(pause)
            attempt += 1

    def _attempt(
        self,
        request: tuple[str, int, bytes],
        exchange: Exchange,
        parse: Callable[[Document], Any],
        *,
        fresh: bool,
    ) -> Outcome:
        """Send a request once, read what came, and tell whoever watches."""
        name, _, envelope = request
        started = time.monotonic()
        response = self._setup.transport.post(name, envelope, exchange, fresh=fresh)
        seconds = time.monotonic() - started
        self._status = response.status or None
        self._log(name, response, seconds)
        outcome = self._outcome(name, response, parse)
        if self._setup.observer is not None:
            secrets = {*self._secrets, *_new_secrets(name, outcome)}
            problem = None if outcome.error is None else str(outcome.error)
            told = (outcome.repairs, problem)
            self._setup.observer.observe(request, response, seconds, told, secrets)
        return outcome

    def _outcome(self, name: str, response: Response, parse: Callable[[Document], Any]) -> Outcome:
        """Read what came."""
        if response.problem is not None:
            return _failed(name, response.problem, response)
        if response.wrong is not None:
            return Outcome(error=ResponseError(response.wrong, name))
        if response.status >= 300 and not self._has_envelope(response):
            shown = f"{response.status}{phrase(response.status)}"
            return _failed(name, f"HTTP status {shown} without a SOAP response", response)
        try:
            text = decoding.decode(response.data, response.charset, self._deadline)
            document = Document(text, name, self._deadline)
            value = parse(document)
        except Expired:
            return _failed(name, "timed out", response._replace(transient=False))
        except ResponseError as error:
            if response.short is not None:
                return _failed(name, response.short, response._replace(transient=True))
            value = redaction.without_tokens(error.value) if name == "api_login" else error.value
            problem = ResponseError(error.problem, name, error.place, value)
            transient = response.transient or not response.data.strip()
            return Outcome(error=problem, transient=transient, retry_after=response.retry_after)
        except SoapMailError as error:
            return Outcome(
                error=error, transient=response.transient, retry_after=response.retry_after
            )
        warn_of_repairs(name, document.repairs)
        return Outcome(value, repairs=document.repairs)

    def _has_envelope(self, response: Response) -> bool:
        try:
            return decoding.has_envelope(response.data, self._deadline)
        except Expired:
            return False

    def _log(self, name: str, response: Response, seconds: float) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            shown = redaction.hidden(response.problem, self._secrets)
            if shown is None:
                shown = f"HTTP {response.status}, {len(response.data)} bytes"
            _log.debug("%s: %s, %.0f ms", name, shown, seconds * 1000)


def documented(
    setup: Setup, operation: str, values: dict[str, Value], parse: Callable[[Document], T] | None
) -> Call[T]:
    """Make a call of an operation that has a template."""
    request = Request(operation, values, template=True)
    return Call(setup, request, parse, changing=changes(operation), secrets=())


def any_other(
    setup: Setup, operation: str, values: dict[str, Value], parse: Callable[[Document], T] | None
) -> Call[T]:
    """Make a call of an operation of which only its name is known."""
    checked_name("operation", operation)
    if takes_session(operation) and "sid" in values:
        raise ValueError("sid: the client adds the session id itself")
    for name in values:
        checked_name("parameter", name)
    request = Request(operation, values, template=False)
    secrets = [str(value) for name, value in values.items() if "pass" in name]
    return Call(setup, request, parse, changing=may_change(operation), secrets=secrets)


def _failed(name: str, problem: str, response: Response) -> Outcome:
    return Outcome(
        error=TransportError(f"{name}: {problem}", response.status or None),
        transient=response.transient,
        retry_after=response.retry_after,
    )


def _new_secrets(name: str, outcome: Outcome) -> list[str]:
    """Give what a response holds that logs in whoever has it."""
    if name == "api_login" and isinstance(outcome.value, str):
        return [outcome.value]
    found = outcome.value
    url = found.get("status_text") if isinstance(found, dict) else getattr(found, "status_text", "")
    return [url] if name == "api_api_auto_zonemta_login" and url else []


def _pause(attempt: int, outcome: Outcome) -> float:
    """Say how long to wait before the next attempt."""
    if outcome.retry_after is not None:
        return outcome.retry_after
    return _PAUSES[min(attempt, len(_PAUSES) - 1)] * uniform(0.5, 1.5)


def _warn_of_interruption(name: str, error: BaseException) -> None:
    """Say that what was interrupted, such as by Ctrl-C, may have happened."""
    words = f"{outcome_unknown(name, type(error).__name__)}"
    with suppress(Exception):  # what a filter of the log raises must not take its place
        getattr(error, "add_note", str)(words)  # Python 3.10 has no notes
        _log.warning("%s", words)
