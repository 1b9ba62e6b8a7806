"""A loopback server that answers from a folder of recorded responses."""

from __future__ import annotations

import os
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..patterns import is_count

_RESPONSE = rb"<(?:[\w.-]+:)?([\w.-]+)Response[\s/>]"
_NUMBERED = r"\d+_(\w+?)(?:_\d+)?"


class Replay:
    """Serves on loopback the responses of a folder: for each operation one after the other."""

    def __init__(self, folder: str, port: int) -> None:
        self._responses: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()
        for name in sorted(os.listdir(folder)):
            if name.endswith(".http"):
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
                self._responses.setdefault(_operation(name, data), []).append(data)
        if not any(self._responses):
            raise ValueError(f"{folder}: no *.http in it says which operation it answers")
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.replay = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/api.php"

    def serve(self) -> None:
        """Serve until interrupted."""
        with self._server:
            self._server.serve_forever()

    def respond(self, operation: str) -> bytes | None:
        """Give the next response of an operation, and the last one again and again."""
        with self._lock:
            responses = self._responses.get(operation, [])
            return (responses.pop(0) if len(responses) > 1 else responses[0]) if responses else None


def _operation(name: str, data: bytes) -> str:
    """Name the operation that a recorded response belongs to; empty: it does not say."""
    numbered = re.fullmatch(_NUMBERED, name.removesuffix(".http"))
    found = re.search(_RESPONSE, data)
    if numbered:
        return numbered[1]
    return found[1].decode() if found else ""


class _Server(ThreadingHTTPServer):
    replay: Replay
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Send what was recorded, byte by byte, and close: its length may be miscounted."""
        length = self.headers.get("Content-Length", "")
        self.rfile.read(int(length) if is_count(length, 9) else 0)
        action = self.headers.get("SOAPAction", "").strip('"')
        operation = action.rpartition("#")[2]
        response = self.server.replay.respond(operation)
        self.close_connection = True
        if response is None:
            self.send_error(404, f"no response of {operation} was recorded")
        else:
            self.wfile.write(response)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
