"""An HTTP server on loopback that asks a callable, such as a recording."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..patterns import is_count

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LENGTH_DIGITS = 9
_RESPONSE_ELEMENT = rb"<(?:[\w.-]+:)?([\w.-]+)Response[\s/>]"
_LOGIN_URL = "api_api_auto_zonemta_login"
_NUMBERED_NAME = r"\d+_(\w+?)(?:_\d+)?"


class Reply(NamedTuple):
    """A status and a body; or ``raw`` bytes, which are sent as they are and end the connection."""

    status: int = 200
    body: bytes = b""
    raw: bytes | None = None


class LoopbackServer(ThreadingHTTPServer):
    """Serves what a callable returns for an operation and a request; ``None`` hangs up.

    The operation is ``wsdl`` where the server's own description is asked for.
    """

    daemon_threads = True

    def __init__(self, reply: Callable[[str, bytes], Reply | None], port: int) -> None:
        self.reply = reply
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}/api.php"

    def serve(self) -> None:
        """Serve until interrupted."""
        try:
            self.serve_forever()
        finally:
            self.close_all()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing of clients that hang up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close_all(self) -> None:
        """End the connections that are kept open, too."""
        self.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body waits for the other side to acknowledge the headers (RFC 896).
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/api.php?wsdl":
            self._reply("wsdl", b"")
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        coded = [name for name in ("Transfer-Encoding", "Content-Encoding") if name in self.headers]
        if coded or not is_count(length, _MAX_LENGTH_DIGITS):
            self.send_error(400)  # which ends the connection
            return
        request = self.rfile.read(int(length))
        if self.path.partition("?")[0] != "/api.php":
            self.send_error(404)
            return
        action = self.headers.get("SOAPAction", "").strip('"')
        self._reply(action.rpartition("#")[2], request)

    def _reply(self, operation: str, request: bytes) -> None:
        reply = cast("LoopbackServer", self.server).reply(operation, request)
        if reply is None or reply.raw is not None:
            self.close_connection = True
        if reply is None:
            return
        if reply.raw is not None:  # NuSOAP's length may be miscounted: the end of it is the end
            self.wfile.write(reply.raw)
        else:
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/xml; charset=ISO-8859-1")
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the request line is of no use to a user of the sandbox."""


class Replay:
    """Serves on loopback the responses of a folder: for each operation one after the other.

    ValueError: none of its files says which operation it answers.
    """

    def __init__(self, folder: str, port: int) -> None:
        self._responses: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()
        for name in sorted(os.listdir(folder), key=_sort_by_number):
            if name.endswith(".http"):
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
                self._responses.setdefault(_find_operation(name, data), []).append(data)
        if not any(self._responses):
            raise ValueError(f"{folder}: no *.http in it says which operation it answers")
        self._server = LoopbackServer(self._reply, port)
        self.endpoint = self._server.endpoint
        # A dump has stars where a URL was that lets anybody in; a URL that lets nobody in is one.
        urls = self._responses.get(_LOGIN_URL, [])
        urls[:] = [data.replace(b"***", f"{self.endpoint}?***".encode()) for data in urls]

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.serve()

    def _reply(self, operation: str, request: bytes) -> Reply:
        with self._lock:
            responses = self._responses.get(operation, [])
            if not responses:
                return Reply(404, f"no response of {operation} was recorded".encode())
            return Reply(raw=responses.pop(0) if len(responses) > 1 else responses[0])


def _sort_by_number(name: str) -> tuple[int, str]:
    number = re.match("[0-9]{0,18}", name)
    return int((number and number[0]) or 0), name


def _find_operation(name: str, data: bytes) -> str:
    """Return the operation that a recorded response belongs to; empty: it does not say."""
    numbered = re.fullmatch(_NUMBERED_NAME, name.removesuffix(".http"))
    if numbered:
        return numbered[1]
    element = re.search(_RESPONSE_ELEMENT, data)
    return element[1].decode() if element else ""
