"""A folder of what went over the wire, without secrets."""

from __future__ import annotations

import json
import os
import re
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..billing.identity import Identity
    from ..observe import ObservedExchange


_FACTS = ("operation", "attempt", "status", "seconds", "repairs", "problem")


class Dump:
    """Writes each exchange into a folder, three files each, for the owner alone.

    The file that is named by a number alone is made first: whoever makes it has the number, also
    among runs at the same time.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        try:  # before anything is sent
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            error.filename = folder
            raise
        numbers = [int(match[0]) for match in map(_NUMBER.match, os.listdir(folder)) if match]
        self._last = max(numbers, default=0)

    def __call__(self, exchange: ObservedExchange, account: Identity) -> None:
        """Write request, response, and what is known of both."""
        facts = {name: getattr(exchange, name) for name in _FACTS}
        facts["account"] = str(account)
        facts["seconds"] = round(exchange.seconds, 3)
        number = self._claim_number(json.dumps(facts, indent=2).encode() + b"\n")
        self._write(f"{number:04}_{exchange.operation}.request.xml", exchange.request)
        if exchange.status is not None:
            self._write(f"{number:04}_{exchange.operation}.http", exchange.http)

    def _claim_number(self, facts: bytes) -> int:
        """Write the facts under the next number that nobody else has, and return it."""
        while True:
            self._last = number = self._last + 1
            try:
                self._write(f"{number:04}.json", facts)
            except FileExistsError:
                continue
            return number

    def _write(self, name: str, data: bytes) -> None:
        path = os.path.join(self._folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)


_NUMBER = re.compile("[0-9]{4,18}(?=[._])", re.ASCII)
