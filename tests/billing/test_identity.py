"""One identity of an account, however its endpoint and its user name are spelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soapmail.billing.identity import identify_account

if TYPE_CHECKING:
    from pathlib import Path

NAME = "user@example.com"


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://h.example/api.php", "User@Example.com"), ("https://h.example/api.php", " user@example.com\t"),
        ("HTTPS://H.example:443/api.php", NAME), ("https://h.example./api.php?", NAME),
        ("https://h.example/api.php#x", NAME), ("https://h.example//x/../api.php", NAME),
        ("https://h.example/%61pi.php", NAME), ("https://h.example/api.php/", NAME),
    ],
)  # fmt: skip
def test_an_account_is_one_however_it_is_spelled(endpoint: str, name: str) -> None:
    """RFC 3986 6.2.2 and 6.2.3; the server takes a user name in any case."""
    identity = identify_account("https://h.example/api.php", NAME)
    assert identify_account(endpoint, name) == identity
    assert identify_account(endpoint, name).file_stem == identity.file_stem
    assert str(identity) == f"{NAME} at https://h.example:443/api.php"


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://h.example/api.php", "other@example.com"), ("https://h.example:8443/api.php", NAME),
        ("https://h2.example/api.php", NAME), ("https://h.example/api2.php", NAME),
        ("https://h.example/api.php?x=1", NAME),
    ],
)  # fmt: skip
def test_other_accounts_are_others(endpoint: str, name: str) -> None:
    identity = identify_account("https://h.example/api.php", NAME)
    assert identify_account(endpoint, name).key != identity.key


@pytest.mark.parametrize(("scheme", "port"), [("https", 443), ("http", 80)])
def test_the_usual_port_is_the_one_that_nobody_names(scheme: str, port: int) -> None:
    """RFC 9110 4.2.1 and 4.2.2."""
    named = {identify_account(f"{scheme}://host{text}/", NAME) for text in ("", f":{port}")}
    assert len(named) == 1
    assert identify_account(f"{scheme}://host", NAME) in named
    assert identify_account(f"{scheme}://host:{port + 1}/", NAME) not in named


def test_names_are_folded_and_composed() -> None:
    """Unicode 3.13 (case folding) and annex 15 (NFC)."""
    first = identify_account("https://h/", "STRASSE\u00c9@x")
    assert identify_account("https://h/", "stra\u00dfee\u0301@x") == first
    assert str(identify_account("https://h/", "")) == "https://h:443/"
    assert "/" not in identify_account("https://h/", "a/../b\0").file_stem


@pytest.mark.parametrize("name", ["\U0001f600" * 60, "x" * 500, "a\udcff"])
def test_each_name_gives_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{identify_account('https://h/', name).file_stem}.jsonl").touch()
