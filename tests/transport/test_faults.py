"""The short form of ``python -m tests.faults``: one line of forty, and one error for each call."""

from __future__ import annotations

import re

import pytest

from ..support import run_module


@pytest.mark.slow
def test_whatever_breaks_a_payment_arrives_once_and_is_told_truly() -> None:
    """In a program of its own, as an error is also raised in the finalizers of urllib3."""
    done = run_module("faults", "--short")
    last = re.fullmatch(r"(\d+) faults injected, 0 wrong, in \d+ s", done.stdout.strip())
    assert last is not None, done.stdout
    assert int(last[1]) > 300
    assert done.returncode == 0
