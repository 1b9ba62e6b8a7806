"""What came of one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .delivery import Tls


class Response(NamedTuple):
    """What came of one request; ``problem`` says why there is no body that could be read."""

    status: int = 0  # none came
    charset: str | None = None
    data: bytes = b""
    retry_after: float | None = None  # seconds
    problem: str | None = None
    # Whether the same request may well work a moment later.
    is_transient: bool = False
    # How the connection ended before its time, though something came.
    ended_early: str | None = None
    # What is wrong with a body that did come.
    unusable: str | None = None
    version: str = ""
    reason: str = ""
    headers: Sequence[tuple[str, str]] = ()
    tls: Tls | None = None
