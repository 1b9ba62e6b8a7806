"""A short soak; the long one is ``python -m tests.soak 20000``."""

from __future__ import annotations

import pytest

from .soak import Soak


@pytest.mark.slow
def test_eight_threads_on_a_breaking_server() -> None:
    soak = Soak(600)
    soak.run()
    assert soak.problems == []
    assert soak.told["list ok"] > 100
    assert soak.told["send unknown"] > 0
    assert len(soak.done) > 100
