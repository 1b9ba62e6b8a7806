"""Pay with ever fewer frames left: ``python -m tests.near_the_limit lost|answered``.

The making of an error takes fewer frames than the call that failed, so that a payment that arrived
is never told as not sent. Prints the kinds of what was told.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from soapmail import OutcomeUnknown, SoapMailError, Status

from .faulty import Faulty, hang_up, make_client
from .support import SID, make_status_response

if TYPE_CHECKING:
    from collections.abc import Callable


def descend(frames: int, work: Callable[[], object]) -> object:
    """Do something so many frames further down."""
    return work() if frames == 0 else descend(frames - 1, work)


def find_depth() -> int:
    """Return how many more frames there are."""
    low, high = 0, sys.getrecursionlimit()
    while low < high:
        middle = (low + high + 1) // 2
        try:
            descend(middle, int)
            low = middle
        except RecursionError:
            high = middle - 1
    return low


def main(how: str) -> None:
    # The finalizers of urllib3 find no depth either.
    sys.unraisablehook = lambda unraisable: None
    paid = make_status_response("api_make_payment", "ok", "Paid")
    respond = hang_up if how == "lost" else lambda request: request.respond(paid)
    told: set[str] = set()
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        with suppress(SoapMailError):
            client.make_payment(1)  # all that is imported is
        for frames in range(5, 120):
            before = len(server.requests)
            depth = find_depth() - frames
            outcome: object
            try:
                outcome = descend(depth, partial(client.make_payment, frames + 10))
            except Exception as error:
                outcome = error
            arrived = len(server.requests) - before
            told.add(type(outcome).__name__)
            assert arrived <= 1, frames
            assert arrived == 0 or isinstance(outcome, (Status, OutcomeUnknown)), (frames, outcome)
    print(*sorted(told))


if __name__ == "__main__":
    main(sys.argv[1])
