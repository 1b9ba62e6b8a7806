"""One call: its deadline, its attempts, one renewal of the session, and what became of it."""

from __future__ import annotations

import codecs
import logging
import time
from contextlib import suppress
from functools import partial
from random import uniform
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import redaction
from .deadline import Deadline, DeadlineExceeded, is_of_handler
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
from .extract import parse_single, warn_of_repairs
from .operations import ISSUING, changes, may_change, takes_session
from .session import AttemptResult, IssuedSession, read_clocks
from .soap import repair
from .soap.document import Document
from .soap.envelope import Request, check_name
from .transport import Delivery, Outgoing, describe_status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .session import ProcessState
    from .soap.envelope import Value
    from .transport import Response

T = TypeVar("T")

_log = logging.getLogger("soapmail")
_ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_PAUSES_SECONDS = (0.5, 1.0, 2.0)
# Of the text of a payment; it is searched for secrets before the journal has its outcome.
_MAX_STATUS_CHARACTERS = 1_000_000


class Call(Generic[T]):
    """One call of one operation; it holds all that is known of what happened.

    ``parse`` makes the value of the response; without it, a login is all there is to do.
    """

    def __init__(
        self,
        state: ProcessState,
        request: Request,
        parse: Callable[[Document], T] | None,
        *,
        is_changing: bool,
        secrets: Collection[str],
    ) -> None:
        self._state = state
        self._request = request
        self._parse = parse
        self._is_changing = is_changing
        self._deadline = Deadline(state.timeout)
        self._secrets = {*secrets, *state.secrets}
        # The last delivery of a changing operation, unless its response was a clear no.
        self._unconfirmed: Delivery | None = None
        # The last one, whatever its response was.
        self._change: Delivery | None = None
        self._status: int | None = None
        self.failure: BaseException | None = None
        if is_changing:
            _load_what_ends_a_call()
        self._notify: Callable[..., None] | None = None
        if state.on_exchange is not None:
            from .observe import notify

            self._notify = partial(notify, state.on_exchange)
        # What leaves where making an error fails, for lack of memory or of depth.
        self._last_resort = _make_last_resort(request.operation, is_changing=is_changing)

    def run(self) -> T:
        """Return the result. The caller passes any exception to ``to_public_error``.

        ValueError: the caller's session might send an operation again that changes something.
        """
        if self._parse is None:
            return self._get_session(anew=True).sid  # type: ignore[return-value]
        if self._is_changing:
            self._state.transport.check()
        if takes_session(self._request.operation):
            return self._attempt_with_session()
        return self._unwrap(self._attempt(None))

    @property
    def operation(self) -> str:
        """The operation that the caller asked for."""
        return self._request.operation

    def limit(self, deadline: Deadline) -> None:
        """End no later than that, whatever the client's own limit is."""
        self._deadline.limit(deadline)

    @property
    def may_have_happened(self) -> bool:
        """Whether a changing operation may have happened, and its response was no clear no."""
        return self._unconfirmed is not None and self._unconfirmed.may_have_left

    @property
    def has_left(self) -> bool:
        """Whether a byte of a changing operation may have left, whatever came of it."""
        return self._change is not None and self._change.may_have_left

    def redact(self, text: str) -> str:
        """Return a text without the secrets of this call; of a longer one its beginning."""
        return redaction.redact_excerpt(text, self._secrets, _MAX_STATUS_CHARACTERS)

    def to_public_error(self, error: BaseException) -> BaseException:
        """Convert an exception for the caller. If a signal handler raises meanwhile, that one."""
        try:
            try:
                self.failure = redaction.drop_frames(self._classify(error))
            except BaseException as later:
                if isinstance(later, Exception) and not is_of_handler(later):
                    raise
                self.failure = redaction.drop_frames(self._classify(later))
        except Exception:
            self.failure = self._last_resort
        return self.failure

    def _classify(self, error: BaseException) -> BaseException:
        """Return an error that says whether the operation may have happened, without secrets."""
        if self.may_have_happened:
            if not isinstance(error, Exception):
                _warn_of_interruption(self._request.operation, error)
            elif not isinstance(error, OutcomeUnknown):
                error = self._to_outcome_unknown(error)
        if isinstance(error, SoapMailError):
            return redaction.sanitize_error(error, self._secrets)
        return error

    def _to_outcome_unknown(self, error: Exception) -> OutcomeUnknown:
        name = self._request.operation
        if isinstance(error, SoapMailError):
            error = redaction.sanitize_error(error, self._secrets)
            return outcome_unknown(name, str(error).removeprefix(f"{name}: "), self._status)
        unknown = outcome_unknown(name, f"{type(error).__name__}: {error}".rstrip(": "))
        if isinstance(error, TimeoutError):  # of the caller, who may wait for it
            unknown.__cause__ = error
        return unknown

    # --- the session -------------------------------------------------------------------------

    def _attempt_with_session(self) -> T:
        session = self._get_session()
        result = self._attempt(session)
        if result.is_refused():
            hint = "and there is no password to log in with"
            self._note_refused_session(hint, is_final=not self._has_password)
        elif not self._is_worth_a_login(result, session):
            return self._unwrap(result)
        session = self._get_session(refused=session)
        result = self._attempt(session)
        if result.is_refused():
            self._note_refused_session("right after a login", is_final=True)
        if result.is_unserializable():
            self._state.sessions.current = session._replace(fault_confirmed=True)
        return self._unwrap(result)

    @property
    def _has_password(self) -> bool:
        return self._state.credentials is not None

    def _note_refused_session(self, hint: str, *, is_final: bool) -> None:
        self._unconfirmed = None
        if is_final:
            raise AuthenticationError(f"{self._request.operation}: the session was refused {hint}")

    def _is_worth_a_login(self, result: AttemptResult, session: IssuedSession) -> bool:
        """Return whether to log in again and repeat: an expired session may explain the result."""
        if not result.is_ambiguous() or self._is_changing:
            return False
        is_confirmed = session.fault_confirmed and result.is_unserializable()
        if session.is_fresh() and (result.is_empty() or is_confirmed):
            return False
        if not self._has_password and result.error is None:
            name = self._request.operation
            _log.warning("%s: nothing came back, which may mean a refused session", name)
        return self._has_password

    def _get_session(
        self, refused: IssuedSession | None = None, *, anew: bool = False
    ) -> IssuedSession:
        session = self._state.sessions.get(
            self._log_in, lambda: self._status, self._deadline, refused, anew=anew
        )
        self._secrets.add(session.sid)
        return session

    def _log_in(self) -> IssuedSession:
        if self._state.credentials is None:
            raise ValueError("username and password, or a session_id, are needed for this")
        username, password = self._state.credentials
        request = Request("api_login", {"username": username, "password": password}, template=True)
        started = read_clocks()
        result = self._repeat(request, None, partial(parse_single, kind=str), is_changing=False)
        if result.error is not None:
            raise result.error
        if result.value is None or not result.value.strip():
            raise AuthenticationError("api_login: the server does not accept username and password")
        return IssuedSession(result.value, *started)

    # --- attempts ----------------------------------------------------------------------------

    def _attempt(self, session: IssuedSession | None) -> AttemptResult:
        assert self._parse is not None
        return self._repeat(self._request, session, self._parse, is_changing=self._is_changing)

    def _unwrap(self, result: AttemptResult) -> T:
        if self._unconfirmed is not None and result.is_ambiguous():
            seen = result.value if result.error is None else result.error
            reason = f"the response may mean a refused session ({seen})"
            raise outcome_unknown(self._request.operation, reason)
        if isinstance(result.error, (SoapFault, OperationFailed)):
            self._unconfirmed = None
        if result.error is not None:
            raise result.error
        return result.value  # type: ignore[no-any-return]

    def _repeat(
        self,
        request: Request,
        session: IssuedSession | None,
        parse: Callable[[Document], Any],
        *,
        is_changing: bool,
    ) -> AttemptResult:
        sid = None if session is None else session.sid
        envelope = request.envelope(sid)
        shown = b""
        if self._notify is not None:
            shown = request.envelope(sid, partial(redaction.redact, secrets=self._secrets))
        attempt = 1
        while True:
            delivery = Delivery(self._deadline)
            if is_changing:
                self._unconfirmed = self._change = delivery
            outgoing = Outgoing(request.operation, envelope, attempt, shown)
            result = self._send(outgoing, delivery, parse, fresh=is_changing)
            is_last = attempt > self._state.retries
            if is_last or not result.is_transient or (is_changing and delivery.may_have_left):
                return result
            pause = _pause_seconds(attempt, result)
            if pause >= self._deadline.remaining():
                return result
            time.sleep(pause)
            attempt += 1

    def _send(
        self,
        outgoing: Outgoing,
        delivery: Delivery,
        parse: Callable[[Document], Any],
        *,
        fresh: bool,
    ) -> AttemptResult:
        started = time.monotonic()
        response = self._state.transport.send(outgoing, delivery, fresh=fresh)
        seconds = time.monotonic() - started
        self._status = response.status or None
        self._log(outgoing.operation, response, seconds)
        result = self._parse_response(outgoing.operation, response, parse)
        self._secrets.update(_find_issued_secrets(outgoing.operation, result))
        if self._notify is not None:
            self._notify(outgoing, response, seconds, result, self._secrets, self._deadline)
        return result

    def _parse_response(
        self, name: str, response: Response, parse: Callable[[Document], Any]
    ) -> AttemptResult:
        if response.problem is not None:
            return _fail(name, response.problem, response)
        status = ""
        if response.status >= 300:
            status = f"HTTP status {response.status}{describe_status(response.status)}"
        if response.unusable is not None:
            problem = f"{response.unusable} ({status})" if status else response.unusable
            return AttemptResult(error=ResponseError(problem, name))
        if status and not self._has_envelope(response):
            return _fail(name, f"{status} without a SOAP response", response)
        failure: SoapMailError
        is_transient = response.is_transient
        try:
            text = repair.decode(response.data, response.charset, self._deadline)
            document = Document(text, name, self._deadline)
            value = parse(document)
        except DeadlineExceeded:
            return _fail(name, "timed out", response)
        except ResponseError as error:
            if response.ended_early is not None:
                return _fail(name, response.ended_early, response._replace(is_transient=True))
            value = error.value
            if value is not None and name in ISSUING:
                value = redaction.STARS
            failure = ResponseError(error.problem, name, error.place, value)
            is_transient = is_transient or not response.data.strip()
        except SoapMailError as error:
            failure = error
        else:
            warn_of_repairs(name, document.repairs)
            return AttemptResult(value, repairs=document.repairs)
        return AttemptResult(None, failure, is_transient, response.retry_after)

    def _has_envelope(self, response: Response) -> bool:
        try:
            return repair.has_envelope(response.data, self._deadline)
        except DeadlineExceeded:
            return False

    def _log(self, name: str, response: Response, seconds: float) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            what = f"HTTP {response.status}, {len(response.data)} bytes"
            if response.problem is not None:
                what = self.redact(response.problem)
            _log.debug("%s: %s, %.0f ms", name, what, seconds * 1000)


def make_call(
    state: ProcessState,
    operation: str,
    values: dict[str, Value],
    parse: Callable[[Document], T] | None,
    *,
    template: bool,
) -> Call[T]:
    """Return a call of an operation that has a template, or of which only its name is known."""
    if template:
        request = Request(operation, values, template=True)
        return Call(state, request, parse, is_changing=changes(operation), secrets=())
    check_name("operation", operation)
    if takes_session(operation) and "sid" in values:
        raise ValueError("sid: the client adds the session id itself")
    for name in values:
        check_name("parameter", name)
    request = Request(operation, values, template=False)
    secrets = [request.text(name) for name in values if redaction.is_secret_name(name)]
    return Call(state, request, parse, is_changing=may_change(operation), secrets=secrets)


def _load_what_ends_a_call() -> None:
    """Import what reads responses and finds secrets, as long as nothing has left.

    Later there may be no file descriptor to do it with (tests/needs_nothing.py).
    """
    import decimal  # noqa: F401
    import html.entities  # noqa: F401

    for encoding in _ENCODINGS:
        codecs.lookup(encoding)


def _make_last_resort(name: str, *, is_changing: bool) -> SoapMailError:
    if is_changing:
        return outcome_unknown(name, "the error cannot be shown")
    return TransportError(f"{name}: failed, and the error cannot be shown")


def _fail(name: str, problem: str, response: Response) -> AttemptResult:
    return AttemptResult(
        error=TransportError(f"{name}: {problem}", response.status or None),
        is_transient=response.is_transient,
        retry_after=response.retry_after,
    )


def _find_issued_secrets(name: str, result: AttemptResult) -> list[str]:
    """Return the session id or the login URL of a response, whatever became of it."""
    if name not in ISSUING:
        return []
    if isinstance(result.error, OperationFailed):  # a URL among the words of a refusal
        return [word for word in (result.error.status_text or "").split() if "://" in word]
    value = result.value
    text = value.get("status_text") if isinstance(value, dict) else value
    text = getattr(text, "status_text", text)
    return [text] if isinstance(text, str) else []


def _pause_seconds(attempt: int, result: AttemptResult) -> float:
    if result.retry_after is not None:
        return result.retry_after
    return _PAUSES_SECONDS[min(attempt, len(_PAUSES_SECONDS)) - 1] * uniform(0.5, 1.5)


def _warn_of_interruption(name: str, error: BaseException) -> None:
    """Note that what was interrupted, such as by Ctrl-C, may have happened."""
    words = f"{outcome_unknown(name, type(error).__name__)}"
    with suppress(Exception):  # what a filter of the log raises must not take its place
        getattr(error, "add_note", str)(words)  # Python 3.10 has no notes (PEP 678)
        _log.warning("%s", words)
