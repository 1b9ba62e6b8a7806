"""The body of an HTTP response, whose length may be miscounted."""

from __future__ import annotations

import io
import re
import zlib
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

import urllib3

from ..deadline import Deadline, is_of_handler
from ..patterns import is_count
from .codings import ChunkedReader, make_inflater
from .connection import find_source, has_lost_headers
from .delivery import NetworkTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from .codings import Inflater
    from .delivery import Delivery

BREAKS = (OSError, HTTPException, urllib3.exceptions.HTTPError)

READ_CHUNK_BYTES = 64 * 1024
_START_SEARCH_BYTES = 64 * 1024
# From the end, in which the end tag is looked for; the long tail once Content-Length was reached.
_TAIL_BYTES = 1024
_LONG_TAIL_BYTES = 64 * 1024
# How long to wait for bytes that nothing announces: behind a whole envelope, behind the count
# (test_bytes_behind_the_count_may_come_later).
AFTER_END_SECONDS = 1.0
AFTER_COUNT_SECONDS = 2.0
_BLANKS = " \t\r\n"  # RFC 9110 5.5; and the line end of RFC 9112 5.2
_BODILESS = (204, 304)  # RFC 9110 6.4.1
_START_TAG = rb"<(?:[\w.-]+:)?Envelope[\s/>]"  # compiled where it is needed
_END_TAG = re.compile(rb"</(?:[\w.-]+:)?Envelope\s*>")


class ResponseBody:
    """Reads the body of one response.

    NuSOAP 0.9.6dev counts characters, not bytes (tests/data/wire, utf8_labelled_latin1), so the
    connection itself is read: on behind the count while the envelope is not whole, and not for
    ever while it is. Then ``ended_early`` says how the connection ended before its time, and
    ``unusable`` why the body is of no use.
    """

    def __init__(
        self,
        response: requests.Response,
        delivery: Delivery,
        limit: int,
        content: bytes | None = None,
    ) -> None:
        self._status = response.status_code
        self._headers = response.headers
        self._content = content  # what somebody else has read, its codings undone
        self._delivery = delivery
        self._limit = limit
        self._data = io.BytesIO()
        self._size = self._received = 0
        self.ended_early: str | None = None
        self.unusable: str | None = None
        self._source: Any = delivery.source or find_source(response.raw)
        self._has_lost_headers = has_lost_headers(self._source)
        self._transfer_coding = self._headers.get("Transfer-Encoding")
        self._chunks: ChunkedReader | None = None
        if content is not None:
            self._source = io.BytesIO(content)
        elif self._transfer_coding is not None and isinstance(self._source, HTTPResponse):
            self._chunks = ChunkedReader(self._source.fp or io.BytesIO())
        self._count = self._read_count()
        self._inflater: Inflater | None = None

    def _check_head(self) -> None:
        """Find out what the body is wrapped in; ValueError: nothing that is understood."""
        if self._status < HTTPStatus.OK:  # they are read over in our own connections alone
            raise ValueError(f"the interim response {self._status} in place of a final one")
        transfer = "chunked" if self._transfer_coding is None else self._transfer_coding
        if self._content is None:
            transfer = transfer.strip(_BLANKS)
        # RFC 9112 6.1, of which no other was asked for. http.client knows it without blanks alone.
        if transfer.lower() != "chunked":
            raise ValueError(f"the transfer coding {transfer!r}, which is not supported")
        inflater = make_inflater(self._headers.get("Content-Encoding", "").strip(_BLANKS).lower())
        self._inflater = inflater if self._content is None else None

    def _read_count(self) -> int | None:
        if self._status in _BODILESS:
            return 0
        length = self._headers.get("Content-Length", "")
        is_counted = self._transfer_coding is None and self._content is None
        return int(length) if is_counted and is_count(length) else None

    def read(self) -> bytes:
        """Return what came; TimeoutError: the time of the call is up."""
        try:
            self._check_head()
            self._read_all()
            if self._received and self._has_lost_headers:
                raise ValueError("headers behind a line that is none")
        except ValueError as error:
            self.unusable = str(error)
        except BREAKS as error:
            if isinstance(error, TimeoutError) or is_of_handler(error):
                raise
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self.ended_early = f"the connection broke after {self._received} bytes ({reason})"
        except zlib.error as error:
            self.unusable = f"a broken compressed response ({error})"
        if self._size > self._limit:
            self.unusable = f"a response over {self._limit} bytes (max_response_bytes)"
        return self._data.getvalue()

    def _read_all(self) -> None:
        read = self._choose_reader()
        is_whole = is_counted = False
        try:
            while self._size <= self._limit:
                is_counted = self._has_reached_count()
                is_whole = self._has_end_tag(_LONG_TAIL_BYTES if is_counted else _TAIL_BYTES)
                if is_counted and (is_whole or not self._has_start_tag()):
                    return
                seconds = AFTER_END_SECONDS if is_whole else AFTER_COUNT_SECONDS
                patience = Deadline(seconds) if is_whole or is_counted else None
                self._delivery.limit_reads(patience)
                if self._delivery.deadline.remaining() <= 0:
                    raise NetworkTimeout
                chunk = read(self._choose_chunk_size(is_counted=is_counted))
                if not chunk:
                    self._note_end(is_whole=is_whole)
                    return
                self._append(chunk)
        except BREAKS as error:
            is_late = isinstance(error, TimeoutError) and not self._delivery.is_only_patience
            is_enough = is_whole or (self._has_reached_count() and not is_late)
            if not is_enough or is_of_handler(error):
                raise

    def _has_reached_count(self) -> bool:
        return self._count is not None and self._received >= self._count

    def _choose_chunk_size(self, *, is_counted: bool) -> int:
        if self._count is None or is_counted:
            return READ_CHUNK_BYTES
        return min(READ_CHUNK_BYTES, self._count - self._received)

    def _choose_reader(self) -> Callable[[int], bytes]:
        source: Any = self._source
        if self._chunks is not None:
            return self._chunks.read
        if isinstance(source, HTTPResponse):
            return source.read1 if source.fp is None else source.fp.read1
        return source.read  # type: ignore[no-any-return]

    def _append(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._inflater is not None:
            chunk = self._inflater.decompress(chunk, self._limit + 1 - self._size)
        self._size += len(chunk)
        self._data.write(chunk)

    def _has_end_tag(self, tail_bytes: int) -> bool:
        return bool(_END_TAG.search(bytes(self._data.getbuffer()[-tail_bytes:])))

    def _has_start_tag(self) -> bool:
        return bool(re.search(_START_TAG, bytes(self._data.getbuffer()[:_START_SEARCH_BYTES])))

    def _note_end(self, *, is_whole: bool) -> None:
        if self._count is not None and self._received < self._count and not is_whole:
            received = f"{self._received} of {self._count} bytes"
            self.ended_early = f"the connection closed after {received}"

    def is_reusable(self) -> bool:
        """Return whether the connection carried what was announced and nothing more."""
        if not isinstance(self._source, HTTPResponse):
            return False
        is_done = self._received == self._count if self._chunks is None else self._chunks.is_done
        self._source.close()
        reader = self._delivery.reader
        return is_done and not (reader and reader.has_surplus)
