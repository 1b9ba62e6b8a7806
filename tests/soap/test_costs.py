"""No step of reading takes more than linear time; ``python -m tests.costs 20000`` shows more."""

from __future__ import annotations

import pytest

from ..costs import GROWTHS, READERS, cost

# The two that read all of a response; the others stop at the first thing that is not theirs.
DEEP = ("table", "by type")


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("reader", DEEP)
def test_four_times_the_response_takes_no_more_than_its_share(growth: str, reader: str) -> None:
    """What takes the square of a response would take sixteen times as long, and as much memory."""
    for is_last in (False, False, True):  # another program may take the time of one measurement
        (time1, memory1), (time4, memory4) = (
            cost(GROWTHS[growth](n), READERS[reader]) for n in (200, 800)
        )
        if time4 < 10 * max(time1, 0.005) or is_last:
            break
    assert memory4 < 8 * max(memory1, 0.5)
    assert time4 < 10 * max(time1, 0.005)
