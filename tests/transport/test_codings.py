"""A response by the standard: interim ones, chunks and compression; what is not understood is no content."""

from __future__ import annotations

import gzip
import io
import zlib
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

from soapmail import OutcomeUnknown, ResponseError, TransportError
from soapmail.transport.codings import ChunkedReader, make_inflater

from ..faulty import Faulty, Hangup, Request, make_client
from ..support import SID, make_many_rows, make_status_response, write_chunks

if TYPE_CHECKING:
    from collections.abc import Callable

PAID = make_status_response("api_make_payment", "ok", "Paid")
ROWS = make_many_rows(12)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"


def cut(body: bytes, at: bytes) -> tuple[bytes, bytes]:
    where = body.index(at) + 1
    return body[:where], body[where:]


def respond_in_chunks(header: bytes, before: bytes = b"") -> Callable[[Request], None]:
    """Respond in two chunks, of which the first ends inside of a value."""

    def make(body: bytes) -> bytes:
        parts = cut(body, b">ok<" if b">ok<" in body else b"invoices_id")
        return before + HEAD + header + b"\r\n\r\n" + write_chunks(*parts)

    return respond_raw(make)


def respond_raw(make: Callable[[bytes], bytes]) -> Callable[[Request], None]:
    return lambda request: request.raw(
        make(PAID if request.operation == "api_make_payment" else ROWS)
    )


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
        b"HTTP/1.1 199 X\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" * 3,
    ],
)
def test_interim_responses_are_read_over(interim: bytes) -> None:
    """RFC 9110 15.2; the length of the final one is that of its chunks (RFC 9112 6.3)."""
    respond = respond_in_chunks(b"Transfer-Encoding: chunked", interim)
    with Faulty(respond) as server, make_client(server, session_id=SID) as client:
        assert client.make_payment(5).status == "ok"
        assert len(client.get_client_invoices()) == 12
        assert len(client.get_client_invoices()) == 12
        assert server.connections == 1


def test_another_protocol_is_refused() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    with Faulty(respond_raw(lambda body: switch + HEAD + b"\r\n" + body)) as server:
        client = make_client(server, session_id=SID, retries=0)
        with pytest.raises(TransportError, match="switched to another protocol"):
            client.get_client_invoices()
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)


@pytest.mark.parametrize("coding", ["identity, chunked", "gzip, chunked", "chunked, chunked", "gzip", "identity", "xchunked"])  # fmt: skip
def test_a_transfer_coding_that_is_not_exactly_chunked_is_refused(coding: str) -> None:
    with Faulty(respond_in_chunks(f"Transfer-Encoding: {coding}".encode())) as server:
        client = make_client(server, session_id=SID, timeout=5)
        with pytest.raises(ResponseError, match=f"the transfer coding '{coding}', which is not"):
            client.get_client_invoices()
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)


def test_the_case_of_a_transfer_coding_means_nothing() -> None:
    """RFC 9112 7: names of transfer codings are case-insensitive."""
    with Faulty(respond_in_chunks(b"Transfer-Encoding:  Chunked")) as server:
        assert len(make_client(server, session_id=SID).get_client_invoices()) == 12


@pytest.mark.parametrize(
    "line", [b"+5", b"0x5", b"5_0", b"-1", b"", b"5 5", b" 5", b"g", b"5" * 17, b"\xd9\xa5"]
)
def test_the_size_of_a_chunk_is_plain_hexadecimal(line: bytes) -> None:
    """RFC 9112 7.1: ``chunk-size = 1*HEXDIG``; Python's int() takes more."""
    reader = ChunkedReader(io.BufferedReader(io.BytesIO(line + b"\r\nhello\r\n0\r\n\r\n")))
    with pytest.raises(HTTPException, match="no hexadecimal number"):
        reader.read(10)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"00A\r\nhello worl\r\n1;a=b\r\nd\r\n0\r\nTrailer: x\r\n\r\n", b"hello world"),
        (b"5 \t;x\r\nhello\r\n0;y\r\n\r\n", b"hello"),
        (b"0\r\n\r\n", b""),
        (b"5\nhello\n0\n\n", b"hello"),  # a line may end with LF alone, RFC 9112 2.2
    ],
)
def test_chunks_are_joined(data: bytes, content: bytes) -> None:
    for size in (1, 3, 100):
        reader = ChunkedReader(io.BufferedReader(io.BytesIO(data)))
        assert b"".join(iter(lambda: reader.read(size), b"")) == content  # noqa: B023
        assert reader.is_done
        assert reader.read(5) == b""


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"5\r\nhel", "closed inside a chunk"),
        (b"5\r\nhello", "closed between chunks"),
        (b"5\r\nhello\r\n", "closed between chunks"),
        (b"5\r\nhello\r\n0\r\n", "closed between chunks"),
        (b"5\r\nhello world\r\n0\r\n\r\n", "longer than its size"),
        (b"5;" + b"x" * 9000 + b"\r\nhello\r\n", "closed between chunks"),
    ],
)
def test_chunks_that_are_none_are_no_content(data: bytes, problem: str) -> None:
    reader = ChunkedReader(io.BufferedReader(io.BytesIO(data)))
    with pytest.raises(HTTPException, match=problem):
        while reader.read(100):
            pass


def deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def pack_members(body: bytes) -> bytes:
    return b"".join(gzip.compress(body[at : at + 200]) for at in range(0, len(body), 200))


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip ", gzip.compress),
    "members": ("gzip", pack_members),
    "an empty member": ("gzip", lambda body: gzip.compress(b"") + gzip.compress(body)),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", deflate),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_each_compression_is_undone_in_pieces_of_any_size(name: str, piece: int) -> None:
    coding, pack = PACKED[name]
    inflater = make_inflater(coding.strip().lower())
    data = pack(ROWS)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    unpack = bytes if inflater is None else lambda part: inflater.decompress(part, 10**9)
    assert b"".join(map(unpack, pieces)) == ROWS


@pytest.mark.parametrize("name", PACKED)
def test_each_compression_reaches_the_caller(name: str) -> None:
    coding, pack = PACKED[name]

    def respond(request: Request) -> None:
        body = PAID if request.operation == "api_make_payment" else ROWS
        request.respond(pack(body), headers={"Content-Encoding": coding})

    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, timeout=5)
        assert client.make_payment(5).status == "ok"
        assert len(client.get_client_invoices()) == 12


def test_what_is_behind_the_last_member_means_nothing() -> None:
    inflater = make_inflater("gzip")
    assert inflater is not None
    assert inflater.decompress(gzip.compress(b"a") + b"\0\0rest", 99) == b"a"
    assert inflater.decompress(b"more", 99) == b""
    assert make_inflater("deflate").decompress(zlib.compress(b"a") + zlib.compress(b"b"), 9) == b"a"  # type: ignore[union-attr]


def test_no_more_is_unpacked_than_asked_for() -> None:
    inflater = make_inflater("gzip")
    assert inflater is not None
    assert inflater.decompress(gzip.compress(b"a" * 60) * 5, 100) == b"a" * 100
    inflater = make_inflater("gzip")
    assert inflater is not None
    assert inflater.decompress(gzip.compress(b"a" * 50) * 3, 100) == b"a" * 100  # between members
    with pytest.raises(zlib.error):
        make_inflater("gzip").decompress(b"<html>no gzip", 100)  # type: ignore[union-attr]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "gzip, gzip", "compress"])
@pytest.mark.parametrize("status", [200, 500])
def test_another_content_coding_is_named(coding: str, status: int) -> None:
    def respond(request: Request) -> None:
        request.respond(b"\x0b\x02\x80data", status, headers={"Content-Encoding": coding})

    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, timeout=5)
        with pytest.raises(ResponseError, match=f"the content coding '{coding}', which") as caught:
            client.get_client_invoices()
        assert ("HTTP status 500" in str(caught.value)) == (status == 500)
        with pytest.raises(OutcomeUnknown) as unknown:
            client.make_payment(5)
        assert unknown.value.status == status


@pytest.mark.parametrize(
    "headers", [b"A: b\r\n" * 200 + b"\r\n", b"A: " + b"x" * 70_000 + b"\r\n\r\n", b"A"]
)
def test_a_status_line_that_came_is_told_though_the_headers_are_of_no_use(headers: bytes) -> None:
    def respond(request: Request) -> None:
        request.raw(b"HTTP/1.1 503 Busy\r\n" + headers)
        raise Hangup

    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, retries=0)
        for do in (client.get_client_invoices, lambda: client.make_payment(5)):
            with pytest.raises(TransportError) as caught:
                do()
            assert caught.value.status == 503


@pytest.mark.parametrize(
    "header", [b"Transfer-Encoding: chunked \t", b"Transfer-Encoding:\r\n chunked"]
)
def test_blanks_around_a_transfer_coding_mean_nothing(header: bytes) -> None:
    """RFC 9110 5.5, RFC 9112 5.2."""
    respond = respond_in_chunks(header)
    with Faulty(respond) as server, make_client(server, session_id=SID) as client:
        assert client.make_payment(5).status == "ok"
        assert len(client.get_client_invoices()) == 12


@pytest.mark.parametrize(
    "line", [b"Transfer-Encoding : chunked", b"no header\r\nTransfer-Encoding: chunked"]
)
def test_what_stands_behind_a_line_that_is_no_header_is_not_guessed(line: bytes) -> None:
    """RFC 9112 5.1: what is read of the headers ends there, and so it may be anything."""
    respond = respond_in_chunks(line)
    with Faulty(respond) as server, make_client(server, session_id=SID) as client:
        with pytest.raises(ResponseError, match="headers behind a line that is none"):
            client.get_client_invoices()
        with pytest.raises(OutcomeUnknown, match="headers behind a line that is none"):
            client.make_payment(5)


def test_a_status_line_that_came_is_told_though_nothing_follows() -> None:
    def respond(request: Request) -> None:
        request.raw(b"HTTP/1.1 502 Bad\r\nContent-Length: 50\r\n\r\n<html>")
        request.closing.wait(10)

    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, retries=0, timeout=0.3)
        with pytest.raises(TransportError, match="timed out") as caught:
            client.get_client_invoices()
        assert caught.value.status == 502
