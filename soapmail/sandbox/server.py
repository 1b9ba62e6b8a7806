"""An HTTP server on loopback, which ends with its connections."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from ..patterns import is_count

if TYPE_CHECKING:
    from .sandbox import Sandbox


class _Server(ThreadingHTTPServer):
    sandbox: Sandbox
    kept: set[socket.socket]
    daemon_threads = True

    def process_request(self, request: Any, client_address: Any) -> None:
        self.kept.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.kept.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close_all(self) -> None:
        """End the connections that are kept open, too."""
        self.server_close()
        for connection in list(self.kept):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body waits for the other side to acknowledge the headers.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != "/api.php?wsdl":
            self.send_error(404)
            return
        self._send(200, self.server.sandbox.wsdl())

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        coded = [name for name in ("Transfer-Encoding", "Content-Encoding") if name in self.headers]
        if coded or not is_count(length, 9):
            self.close_connection = True
            self.send_error(400)
            return
        request = self.rfile.read(int(length))
        if self.path.partition("?")[0] != "/api.php":
            self.send_error(404)
            return
        answer = self.server.sandbox.responded(request)
        if answer is None:
            self.close_connection = True
            return
        self._send(*answer)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=ISO-8859-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the request line is of no use to a user of the sandbox."""
