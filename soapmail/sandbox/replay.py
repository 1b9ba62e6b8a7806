"""A loopback server that answers from a folder of recorded responses."""

from __future__ import annotations

import os
import re
import threading

from .server import LoopbackServer, Reply

_RESPONSE_ELEMENT = rb"<(?:[\w.-]+:)?([\w.-]+)Response[\s/>]"
_NUMBERED_NAME = r"\d+_(\w+?)(?:_\d+)?"


class Replay:
    """Serves on loopback the responses of a folder: for each operation one after the other.

    ValueError: none of its files says which operation it answers.
    """

    def __init__(self, folder: str, port: int) -> None:
        self._responses: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()
        for name in sorted(os.listdir(folder)):
            if name.endswith(".http"):
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
                self._responses.setdefault(_operation_of(name, data), []).append(data)
        if not any(self._responses):
            raise ValueError(f"{folder}: no *.http in it says which operation it answers")
        self._server = LoopbackServer(self._reply, port)
        self.endpoint = self._server.endpoint

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.serve()

    def _reply(self, operation: str, request: bytes) -> Reply:
        """Return the next response of an operation, and the last one again and again."""
        with self._lock:
            responses = self._responses.get(operation, [])
            if not responses:
                return Reply(404, f"no response of {operation} was recorded".encode())
            return Reply(raw=responses.pop(0) if len(responses) > 1 else responses[0])


def _operation_of(name: str, data: bytes) -> str:
    """Return the operation that a recorded response belongs to; empty: it does not say."""
    numbered = re.fullmatch(_NUMBERED_NAME, name.removesuffix(".http"))
    if numbered:
        return numbered[1]
    element = re.search(_RESPONSE_ELEMENT, data)
    return element[1].decode() if element else ""
