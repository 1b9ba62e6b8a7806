"""Fixtures: nothing of the environment of whoever runs the tests."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
import responses as responses_library
from hypothesis import HealthCheck, settings

from soapmail.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile(
    "soapmail", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("soapmail")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SOAPMAIL_") or name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    # The pauses between retries shrink with the random factor; that they exist is tested apart.
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.001)


@pytest.fixture
def http() -> Iterator[responses_library.RequestsMock]:
    with responses_library.RequestsMock(
        registry=responses_library.registries.OrderedRegistry
    ) as mock:
        yield mock


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running
