"""A folder of what went over the wire, without secrets."""

from __future__ import annotations

import itertools
import json
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..billing.identity import Identity
    from ..observe import ObservedExchange


_FACTS = ("operation", "attempt", "status", "seconds", "repairs", "problem")


class Dump:
    """Writes each exchange into a folder, three files each, for the owner alone."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        # Before anything is sent.
        probe = os.path.join(folder, f".{os.getpid()}")
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.unlink(probe)

    def __call__(self, exchange: ObservedExchange, account: Identity) -> None:
        """Write request, response, and what is known of both."""
        facts = {name: getattr(exchange, name) for name in _FACTS}
        facts["account"] = str(account)
        facts["seconds"] = round(exchange.seconds, 3)
        with self._lock:
            name = self._next_name(exchange.operation)
            self._write(f"{name}.request.xml", exchange.request)
            self._write(f"{name}.json", json.dumps(facts, indent=2).encode() + b"\n")
            if exchange.status is not None:
                self._write(f"{name}.http", exchange.http)

    def _next_name(self, operation: str) -> str:
        numbers = {name.partition("_")[0] for name in os.listdir(self._folder)}
        number = next(n for n in self._numbers if f"{n:04}" not in numbers)
        return f"{number:04}_{operation}"

    def _write(self, name: str, data: bytes) -> None:
        path = os.path.join(self._folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
