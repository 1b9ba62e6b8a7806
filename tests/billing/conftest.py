"""Fixtures: a sandbox in which all that is open may be paid, and a place for a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soapmail.sandbox import Sandbox

from .. import kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox whose services have not ended."""
    with Sandbox() as running:
        kill.keep_services(running)
        yield running


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal.jsonl")
