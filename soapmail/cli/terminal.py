"""Text for a person at a terminal: what is shown, said and asked."""

from __future__ import annotations

import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING

from .exit_codes import Declined, Unshown, UsageError

if TYPE_CHECKING:
    import argparse
    from datetime import datetime
    from decimal import Decimal

    from ..models import Invoice


def shown(value: object) -> str:
    """Write a value for a terminal: what could move its cursor is not passed on."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    return "".join(one if one.isprintable() else " " for one in str(value))


def money(amount: Decimal | None) -> str:
    """Write an amount with two places, or with more where it has more: nothing is rounded."""
    if amount is None:
        return "-"
    exponent = amount.as_tuple().exponent
    return f"{amount:.2f}" if isinstance(exponent, int) and exponent > -2 else f"{amount:f}"


def cost(invoice: Invoice) -> str:
    """Write what an invoice costs, with its currency."""
    return f"{money(invoice.amount)} {invoice.invoices_currency or ''}".strip()


def day(word: str, moment: datetime | None) -> str:
    """Write the day of a moment behind a word; nothing where there is none."""
    return "" if moment is None else f"{word} {moment.date()}"


def told(*known: str | None) -> str:
    """Put in brackets what is known."""
    words = ", ".join(filter(None, known))
    return f" ({words})" if words else ""


def say(text: str) -> None:
    """Tell the caller, if he can be told."""
    with suppress(OSError, ValueError):
        print(f"soapmail: {shown(text)}", file=sys.stderr, flush=True)


def put(text: str) -> None:
    """Print a text, and know that it was written."""
    if sys.__stdout__ is None:
        raise OSError("stdout is closed")
    print(text, end="", flush=True)


def unshown(error: Exception, name: str = "", rest: str = "") -> Unshown:
    """Say of what was done that only its output failed, between what names it and the rest."""
    problem = getattr(error, "strerror", None) or str(error)
    return Unshown(f"{name}it was done, and only the output failed ({problem}){rest}")


def has_terminal() -> bool:
    """Tell whether the caller can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asked(question: str, *, hidden: bool = False) -> str:
    """Ask the caller; empty where there is no terminal."""
    if not has_terminal():
        return ""
    if hidden:
        from getpass import getpass

        return getpass(question)
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().rstrip("\r\n")


def confirm(args: argparse.Namespace, what: str) -> None:
    """Ask before anything is changed, or go by --yes."""
    if args.yes:
        return
    if not has_terminal():
        raise UsageError(f"{what}: say --yes to do this without a terminal")
    if asked(f"{shown(what)}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Declined("nothing was done")


def width(text: str) -> int:
    """Count the columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )


def shortened(text: str, columns: int) -> str:
    """Cut a text to so many columns of a terminal."""
    if width(text) <= columns:
        return text
    while text and width(text) >= columns:
        text = text[:-1]
    return f"{text}…"
