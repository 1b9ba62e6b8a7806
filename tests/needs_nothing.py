"""Pay once for each kind of response, and print what was imported or opened after the request left.

``python -m tests.needs_nothing NAME``: one of ``RESPONSES``; prints the error and each event.
"""

from __future__ import annotations

import gzip
import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from .faulty import Faulty, Request, hang_up, make_client
from .support import (
    SID,
    make_fault_response,
    make_status_response,
    make_text_response,
    wrap_in_envelope,
)

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATION = "api_make_payment"


def respond_with(body: bytes, status: int = 200, **headers: str) -> Callable[[Request], None]:
    return lambda request: request.respond(body, status, headers=headers)


def respond_encoded(text: str, encoding: str) -> Callable[[Request], None]:
    body = make_status_response(OPERATION, "no", "@").decode("latin-1").replace("@", text)
    body = body.replace("ISO-8859-1", encoding)
    return respond_with(body.encode(encoding))


RESPONSES: dict[str, Callable[[Request], None]] = {
    "ok": respond_with(make_status_response(OPERATION, "ok", "Paid")),
    "refused": respond_with(make_status_response(OPERATION, "Failed", "no &amp;auml; %e4 \\u00e4")),
    "fault": respond_with(make_fault_response("an &amp;apos; echo"), 500),
    "page": respond_with(b"<html>gateway", 502, Retry_After="Mon, 01 Jan 2026 00:00:00 GMT"),
    "nothing": hang_up,
    "reset": Request.reset,
    "cut": respond_with(make_status_response(OPERATION, "ok", "Paid")[:-300]),
    "gzip": respond_with(gzip.compress(make_fault_response("x")), Content_Encoding="gzip"),
    "br": respond_with(b"xx", Content_Encoding="br"),
    "wrong form": respond_with(wrap_in_envelope(OPERATION, "<return><status>1</status></return>")),
    "other": respond_with(make_text_response("api_other", "x")),
    "utf-8": respond_encoded("ä € 😀", "utf-8"),
    "latin-1": respond_encoded("äöü", "latin-1"),
    "cp1252": respond_encoded("ä €", "cp1252"),
    "utf-16": respond_encoded("ä", "utf-16"),
    "iso-8859-5": respond_encoded("О", "iso-8859-5"),
    "doctype": respond_with(b"<?xml version='1.0'?><!DOCTYPE a><a/>"),
    "101": lambda request: request.raw(b"HTTP/1.1 101 X\r\n\r\n"),
    "chunks": lambda request: request.raw(
        b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz"
    ),
}


def main(name: str) -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    warnings.simplefilter("ignore")
    events: list[str] = []
    has_left = threading.Event()
    thread = threading.get_ident()

    def note(event: str, arguments: Any) -> None:
        if event in ("import", "open") and has_left.is_set() and threading.get_ident() == thread:
            events.append(f"{event} {arguments[0]}")

    def respond(request: Request) -> None:
        has_left.set()
        RESPONSES[name](request)

    sys.addaudithook(note)
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, timeout=3, on_exchange=lambda exchange: None)
        try:
            outcome: object = client.make_payment(5)
        except Exception as error:
            outcome = error
        has_left.clear()
    print(f"{type(outcome).__name__}: {outcome}")
    print(*events, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
