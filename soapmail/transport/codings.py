"""What a body is wrapped in: chunks on the way, and compression."""

from __future__ import annotations

import http.client
import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_MAX_LINE_BYTES = 8 * 1024
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")  # RFC 9112 7.1
_GZIP = ("gzip", "x-gzip")  # RFC 9110 8.4.1.3
_GZIP_OR_ZLIB = 47  # zlib's wbits: 32 for either header, 15 for the largest window
_RAW_DEFLATE = -15
_ZLIB_HEADER_BYTES = 2


class ChunkedReader:
    """Reads a chunked body by RFC 9112 7.1; HTTPException: it is none."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._remaining = 0
        self.is_done = False

    def read(self, size: int) -> bytes:
        """Return some bytes of the content; none: it has ended."""
        if self._remaining == 0 and not self.is_done:
            self._begin_chunk()
        if self.is_done:
            return b""
        data: bytes = self._source.read1(min(size, self._remaining))
        if not data:
            raise http.client.HTTPException("it closed inside a chunk")
        self._remaining -= len(data)
        if self._remaining == 0 and self._read_line().strip(b"\r\n"):
            raise http.client.HTTPException("a chunk is longer than its size")
        return data

    def _begin_chunk(self) -> None:
        line = self._read_line()
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise http.client.HTTPException("the size of a chunk is no hexadecimal number")
        self._remaining = int(size[1], 16)
        if self._remaining == 0:
            while self._read_line().strip(b"\r\n"):
                pass  # trailers, RFC 9112 7.1.2
            self.is_done = True

    def _read_line(self) -> bytes:
        line: bytes = self._source.readline(_MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise http.client.HTTPException("it closed between chunks")
        return line


class Inflater:
    """Undoes the compression of a body; zlib.error: it is broken."""

    def __init__(self, coding: str) -> None:
        self._is_gzip = coding in _GZIP
        self._waiting = b""
        self._inflater: Any = None

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return what more bytes mean; no more than a limit, behind which nothing is read."""
        data = self._waiting + data
        if self._inflater is None and len(data) < _ZLIB_HEADER_BYTES:
            self._waiting = data
            return b""
        self._waiting = b""
        parts: list[bytes] = []
        while limit > 0:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(self._choose_window(data))
            parts.append(self._inflater.decompress(data, limit))
            limit -= len(parts[-1])
            if not self._inflater.eof:
                break
            # A next member of gzip (RFC 1952 2.2); anything else behind the end means nothing.
            data = self._inflater.unused_data
            if not self._is_gzip or not data.startswith(b"\x1f"):
                break
            self._inflater = None
        return b"".join(parts)

    def _choose_window(self, data: bytes) -> int:
        """Tell zlib's format (RFC 1950 2.2) from raw deflate, which some servers send instead."""
        has_header = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
        return _GZIP_OR_ZLIB if self._is_gzip or has_header else _RAW_DEFLATE


def make_inflater(coding: str) -> Inflater | None:
    """Return what undoes a content coding, ``None`` where there is none; ValueError names it."""
    if coding in ("", "identity"):
        return None
    if coding not in (*_GZIP, "deflate"):
        raise ValueError(f"the content coding {coding!r}, which is not supported")
    return Inflater(coding)
