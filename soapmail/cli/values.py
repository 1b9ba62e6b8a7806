"""What the text behind an option means: a number, a day, an amount; else a ValueError."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial

from ..arguments import timeout
from ..patterns import is_count

_PARAMETER = re.compile(r"([^=:]+)(?::(int|float|bool))?=(.*)", re.DOTALL)


def _parse_whole_number(text: str, what: str, *, least: int, most: float = math.inf) -> int:
    if is_count(text) and least <= int(text) <= most:
        return int(text)
    raise ValueError(f"{text!r} is not {what}")


parse_positive_number = partial(_parse_whole_number, what="a positive number", least=1)
parse_days = partial(_parse_whole_number, what="a number of days", least=0, most=99_999)
parse_port = partial(_parse_whole_number, what="a port", least=0, most=65_535)


def parse_date(text: str) -> date:
    """Return a day that is written as YYYY-MM-DD."""
    with suppress(ValueError):
        if len(text) == len("2021-02-24"):
            return date.fromisoformat(text)
    raise ValueError(f"{text!r} is not a date of the form YYYY-MM-DD")


def parse_seconds(text: str) -> float:
    """Return a number of seconds that a call may take."""
    try:
        return timeout(float(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds") from None


def parse_amount(text: str) -> Decimal:
    """Return an amount of money."""
    with suppress(InvalidOperation):
        amount = Decimal(text)
        if amount.is_finite() and abs(amount) < 10**12:
            return amount
    raise ValueError(f"{text!r} is not an amount")


def parse_limit(text: str) -> Decimal:
    """Return an amount of money that is not below zero."""
    amount = parse_amount(text)
    if amount < 0:
        raise ValueError(f"{text!r} is below zero")
    return amount


def parse_pair(text: str) -> tuple[str, str | int | float | bool]:
    """Return the name and the value of ``name=value`` or ``name:type=value``."""
    match = _PARAMETER.fullmatch(text)
    if not match:
        raise ValueError("one is not name=value, or name:int=value with int, float or bool")
    name, kind, value = match.groups()
    try:
        if kind == "int":
            return name, int(value)
        if kind == "float":
            return name, float(value)
        if kind == "bool":
            return name, {"true": True, "1": True, "false": False, "0": False}[value.lower()]
    except (ValueError, KeyError):
        raise ValueError(f"{name} is not of the type {kind}") from None
    return name, value
