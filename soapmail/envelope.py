"""Templates and values to request bytes; the one place where a value is checked and escaped."""

from __future__ import annotations

import os
import re
import warnings
from functools import cache
from string import Template
from typing import TYPE_CHECKING

from .errors import LossyTextWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    Value = str | int | float | Decimal | bool

# What XML 1.0 cannot carry, not even as a reference. These patterns are compiled where they are
# first needed: that takes longer than all the rest of a call.
_FORBIDDEN = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# A bare carriage return would arrive as a line feed.
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\r": "&#13;"}
)
_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = f"[{_START}][{_START}\\-.0-9\u00b7\u0300-\u036f\u203f\u2040]*"
_TYPES = {"bool": "boolean", "int": "int", "float": "float", "Decimal": "float", "str": "string"}


def escaped(name: str, value: Value) -> str:
    """Give a value as XML text that arrives exactly.

    ValueError: XML cannot carry it. TypeError: no type of the contract fits it.
    LossyTextWarning: the server will not keep it.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return _number(name, value)
    bad = None if value.isprintable() else re.search(_FORBIDDEN, value)
    if bad:
        raise ValueError(f"{name}: XML cannot carry the character U+{ord(bad[0]):04X}")
    if not value.isascii() and max(value) > "\xff":
        warnings.warn(
            f"{name}: the server keeps ISO-8859-1 only and turns other characters into '?'",
            LossyTextWarning,
            stacklevel=_outside(),
        )
    return value.translate(_ESCAPES)


def _number(name: str, value: object) -> str:
    from decimal import Decimal

    # Not str or repr: subclasses, such as enums and numpy's, write themselves otherwise.
    if isinstance(value, int):
        return int.__repr__(value)
    if not isinstance(value, (float, Decimal)):
        raise TypeError(f"{name}: str, int, float or bool expected, not {type(value).__name__}")
    number = value if isinstance(value, Decimal) else Decimal(float.__repr__(value))
    if not number.is_finite() or abs(number.adjusted()) > 300:
        raise ValueError(f"{name}: not a number that the server can read")
    return f"{number:f}"


def _outside() -> int:
    """Count the frames up to the caller of this package, so that a warning names his line."""
    import sys

    level = 1
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
        level += 1
    return level


@cache
def _template(name: str) -> Template:
    """Load one template: a wheel carries them in the package, a checkout beside it."""
    here = os.path.dirname(__file__)
    get_data: Callable[[str], bytes] = globals()["__loader__"].get_data  # also out of a zip
    for folder in (here, os.path.dirname(here)):
        try:
            data = get_data(os.path.join(folder, "templates", f"{name}.xml"))
        except OSError:
            continue
        return Template(data.decode().strip())
    raise FileNotFoundError(
        f"soapmail needs templates/{name}.xml, which is neither in nor beside {here}"
    )


def operation(name: str, texts: Mapping[str, str]) -> bytes:
    """Fill the template of one operation with escaped texts and put it into the envelope."""
    return _enveloped(_template(name).substitute(texts))


def call(name: str, parameters: Mapping[str, tuple[str, str]]) -> bytes:
    """Do the same for an operation without a template; each parameter is a type and a text."""
    elements = (
        f'  <{key} xsi:type="xsd:{kind}">{text}</{key}>' for key, (kind, text) in parameters.items()
    )
    body = _template("call").substitute(operation=name, parameters="\n".join(elements))
    return _enveloped(body)


def _enveloped(body: str) -> bytes:
    return _template("envelope").substitute(body=body).encode()


def typed(name: str, value: Value) -> tuple[str, str]:
    """Give the ``xsi:type`` of a value's Python type, and its escaped text."""
    text = escaped(name, value)
    names = [kind.__name__ for kind in type(value).__mro__]
    return next(_TYPES[kind] for kind in names if kind in _TYPES), text


def checked_name(what: str, name: str) -> str:
    """Return a name that may stand as an element's name; ValueError otherwise."""
    if not isinstance(name, str):
        raise TypeError(f"{what}: str expected, not {type(name).__name__}")
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"{what}: {name!r} is not an XML name")
    return name
