"""The body of an HTTP response, whose length may be miscounted."""

from __future__ import annotations

import http.client
import io
import re
import zlib
from typing import TYPE_CHECKING

import urllib3

from .. import patterns
from ..deadline import Deadline
from .connection import source_of
from .delivery import TimeUp, is_foreign

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from .delivery import Exchange

BREAKS = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)
_PIECE = 64 * 1024
_HEAD = 64 * 1024  # in which the envelope begins
_TAIL = 1024  # in which it ends, most likely; where that matters, in the long one
_LONG_TAIL = 64 * 1024
# How long to wait for bytes that nothing announces: behind a whole envelope, behind the count.
_AFTER_END = 1.0
_AFTER_COUNT = 2.0
_BODILESS = (204, 304)
_START = rb"<(?:[\w.-]+:)?Envelope[\s/>]"  # compiled where it is needed
_END = re.compile(rb"</(?:[\w.-]+:)?Envelope\s*>")


class Body:
    """Reads the body of one response.

    NuSOAP counts characters, not bytes, so the connection itself is read: on behind the count
    while the envelope is not whole, and not for ever while it is. Then ``short`` says how the
    connection ended before its time, and ``wrong`` why the body is of no use.
    """

    def __init__(self, response: requests.Response, exchange: Exchange, limit: int) -> None:
        self._response = response
        self._exchange = exchange
        self._limit = limit
        self._out = io.BytesIO()
        self._size = self._received = 0
        self.short: str | None = None
        self.wrong: str | None = None
        self._source = exchange.source or source_of(response.raw)
        self._chunked = bool(getattr(self._source, "chunked", False))
        self._count = self._announced()
        compressed = response.headers.get("Content-Encoding", "").strip().lower()
        gzip = compressed in ("gzip", "x-gzip", "deflate")
        self._inflater = zlib.decompressobj(47) if gzip else None

    def _announced(self) -> int | None:
        if self._response.status_code in _BODILESS:
            return 0
        written = self._response.headers.get("Content-Length", "")
        return int(written) if patterns.is_count(written) and not self._chunked else None

    def read(self) -> bytes:
        """Return what came; TimeoutError: the time of the call is up."""
        try:
            self._read_all()
        except BREAKS as error:
            if self._exchange.deadline.left() <= 0 or is_foreign(error):
                raise
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self.short = f"the connection broke after {self._received} bytes ({reason})"
        except zlib.error as error:
            self.wrong = f"a broken compressed response ({error})"
        finally:
            self._exchange.wait_until(None)
        if self._size > self._limit:
            self.wrong = f"a response over {self._limit} bytes (max_response_bytes)"
        return self._out.getvalue()

    def _read_all(self) -> None:
        reader = self._reader()
        whole = counted = False
        try:
            while self._size <= self._limit:
                counted = self._count is not None and self._received >= self._count
                whole = self._ends(_LONG_TAIL if counted else _TAIL)
                if counted and (whole or not self._begins()):
                    return
                wait = _AFTER_END if whole else _AFTER_COUNT
                self._exchange.wait_until(Deadline(wait) if whole or counted else None)
                if self._exchange.deadline.left() <= 0:
                    raise TimeUp
                # Not beyond the count before it is known that an envelope goes on behind it.
                left = _PIECE if self._count is None or counted else self._count - self._received
                piece = reader(min(_PIECE, left))
                if not piece:
                    self._finished(whole)
                    return
                self._take(piece)
        except BREAKS as error:
            counted = self._count is not None and self._received >= self._count
            enough = whole or (counted and self._exchange.deadline.left() > 0)
            if not enough or is_foreign(error):
                raise

    def _reader(self) -> Callable[[int], bytes]:
        if isinstance(self._source, http.client.HTTPResponse):
            if self._chunked or self._source.fp is None:
                return self._source.read1
            return self._source.fp.read1
        return self._source.read  # type: ignore[no-any-return]

    def _take(self, piece: bytes) -> None:
        self._received += len(piece)
        if self._inflater is not None:
            piece = self._inflater.decompress(piece, self._limit + 1 - self._size)
        self._size += len(piece)
        self._out.write(piece)

    def _ends(self, within: int) -> bool:
        # UTF-16 has a NUL in every letter of the tag.
        tail = bytes(self._out.getbuffer()[-within:])
        return bool(_END.search(tail.replace(b"\0", b"")))

    def _begins(self) -> bool:
        head = bytes(self._out.getbuffer()[:_HEAD])
        return bool(re.search(_START, head.replace(b"\0", b"")))

    def _finished(self, whole: bool) -> None:
        if self._count is not None and self._received < self._count and not whole:
            self.short = f"the connection closed after {self._received} of {self._count} bytes"

    def reusable(self) -> bool:
        """Tell whether the connection carried what was announced and nothing more."""
        if not isinstance(self._source, http.client.HTTPResponse):
            return False
        right = self._source.isclosed() if self._chunked else self._received == self._count
        self._source.close()
        return right and not (self._exchange.stream and self._exchange.stream.surplus)
