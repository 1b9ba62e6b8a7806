"""Canned responses in an order of their own, from a server that goes on after the last of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import responses
from responses.registries import OrderedRegistry

from .judge import JUDGE
from .support import make_text_response

if TYPE_CHECKING:
    from requests import PreparedRequest


class SessionRegistry(OrderedRegistry):
    """Gives the responses in their order; behind them a login works, and the last one comes again.

    So nothing passes because there was no further response: what is asked once too often is
    answered, and the test fails for having asked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unexpected: list[str] = []
        self._last: responses.BaseResponse | None = None

    def find(self, request: PreparedRequest) -> tuple[responses.BaseResponse | None, list[str]]:
        found, reasons = self._find(request)
        if isinstance(request.body, bytes):
            JUDGE.note(self, request.body)
            response = getattr(found, "body", b"")
            JUDGE.note_response(
                self, request.body, response if isinstance(response, bytes) else b""
            )
        return found, reasons

    def _find(self, request: PreparedRequest) -> tuple[responses.BaseResponse | None, list[str]]:
        is_login = request.headers.get("SOAPAction") == '"urn:myapi#api_login"'
        if self.registered:
            found, reasons = super().find(request)
            if not is_login:
                self._last = found
            return found, reasons
        self.unexpected.append(str(request.headers.get("SOAPAction")))
        if is_login:
            body = make_text_response("api_login", f"unexpected{len(self.unexpected)}")
            return responses.Response(responses.POST, request.url or "", body=body), []
        return (self._last, []) if self._last is not None else super().find(request)
