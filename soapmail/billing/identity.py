"""Which account is meant, however its endpoint and its user name are spelled."""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_USUAL_PORTS = {"https": 443, "http": 80}  # RFC 9110 4.2.1 and 4.2.2


class Identity(NamedTuple):
    """An account in one form: what differs in its spelling alone is equal."""

    endpoint: str
    username: str

    @property
    def key(self) -> str:
        """What tells it from all other accounts, in the names of files."""
        text = f"{self.endpoint}\n{self.username}"
        return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]

    @property
    def file_stem(self) -> str:
        """Its user name, as far as a file name takes it, and its key."""
        readable = re.sub(r"[^\w.@-]", "_", self.username)[:40]
        return f"{readable}-{self.key}"

    def __str__(self) -> str:
        endpoint = self.endpoint.rstrip("?")
        return f"{self.username} at {endpoint}" if self.username else endpoint


def identify_account(endpoint: str, username: str) -> Identity:
    """Return the identity of an account (RFC 3986 6.2; a user name is one in any case)."""
    parts = urlsplit(endpoint)
    port = parts.port or _USUAL_PORTS.get(parts.scheme)
    host = (parts.hostname or "").rstrip(".")
    path = posixpath.normpath(f"/{unquote(parts.path).lstrip('/')}")
    name = unicodedata.normalize("NFC", username.strip().casefold())
    return Identity(f"{parts.scheme}://{host}:{port}{path}?{parts.query}", name)
