"""An operation, a session id and values to request bytes; values are escaped here alone."""

from __future__ import annotations

import os
import re
import warnings
from functools import cache
from string import Template
from typing import TYPE_CHECKING

from .. import patterns
from ..errors import LossyTextWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    Value = str | int | float | Decimal | bool

# XML 1.0 2.11: a bare carriage return would arrive as a line feed.
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\r": "&#13;"}
)
_TYPES = {"bool": "boolean", "int": "int", "float": "float", "Decimal": "float", "str": "string"}
_MAX_EXPONENT = 300  # of a number; IEEE 754 doubles end at 308


class Request:
    """One operation with its values, checked and escaped; a session id makes it an envelope.

    ValueError: XML cannot carry a name or a value, or the server cannot keep a number. TypeError:
    no type of the contract fits it. LossyTextWarning: the server will not keep it.
    """

    __slots__ = ("_texts", "_types", "operation")

    def __init__(self, operation: str, values: Mapping[str, Value], *, template: bool) -> None:
        self.operation = operation
        self._texts = {name: _escape(name, value) for name, value in values.items()}
        self._types = (
            None if template else {name: _choose_xsd_type(value) for name, value in values.items()}
        )

    def envelope(self, sid: str | None = None, hide: Callable[[str], str] | None = None) -> bytes:
        """Return the bytes to post; the session id comes first where there is one.

        ``hide`` makes of the text of each value what may be shown of it.
        """
        texts = self._texts if sid is None else {"sid": _escape("sid", sid), **self._texts}
        if hide is not None:
            texts = {n: hide(_unescape(text)).translate(_ESCAPES) for n, text in texts.items()}
        if self._types is None:
            body = _load_template(self.operation).substitute(texts)
        else:
            types = self._types if sid is None else {"sid": "string", **self._types}
            elements = (
                f'  <{name} xsi:type="xsd:{types[name]}">{text}</{name}>'
                for name, text in texts.items()
            )
            call = _load_template("call")
            body = call.substitute(operation=self.operation, parameters="\n".join(elements))
        return _load_template("envelope").substitute(body=body).encode()

    def text(self, name: str) -> str:
        """Return the text in which the server gets a value."""
        return _unescape(self._texts[name])


def read_parameters(operation: str) -> list[tuple[str, str]]:
    """Return the names and types of the parameters that a template sends, in order."""
    return re.findall(r'<(\w+) xsi:type="xsd:(\w+)">\$', _load_template(operation).template)


def check_name(what: str, name: str) -> str:
    """Return a name that may stand as an element's name; ValueError otherwise."""
    if not isinstance(name, str):
        raise TypeError(f"{what}: str expected, not {type(name).__name__}")
    if not re.fullmatch(patterns.NAME, name):
        raise ValueError(f"{what}: {name!r} is not an XML name")
    return name


def _choose_xsd_type(value: Value) -> str:
    names = [base.__name__ for base in type(value).__mro__]
    return next(_TYPES[name] for name in names if name in _TYPES)


def _escape(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return _format_number(name, value)
    forbidden = None if value.isprintable() else re.search(patterns.FORBIDDEN, value)
    if forbidden:
        raise ValueError(f"{name}: XML cannot carry the character U+{ord(forbidden[0]):04X}")
    if not value.isascii() and max(value) > "\xff":
        warnings.warn(
            f"{name}: the server keeps ISO-8859-1 only and turns other characters into '?'",
            LossyTextWarning,
            stacklevel=_find_caller(),
        )
    return value.translate(_ESCAPES)


def _unescape(text: str) -> str:
    from html import unescape

    return unescape(text)


def _format_number(name: str, value: object) -> str:
    from decimal import Decimal

    # Not str or repr: IntEnum has a repr of its own, and numpy.float64 since numpy 2.0.0.
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name}: the server keeps whole numbers of 64 bits only")
        return int.__repr__(value)
    if not isinstance(value, (float, Decimal)):
        raise TypeError(f"{name}: str, int, float or bool expected, not {type(value).__name__}")
    number = value if isinstance(value, Decimal) else Decimal(float.__repr__(value))
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"{name}: not a number that the server can read")
    if Decimal(repr(float(number))) != number:
        raise ValueError(f"{name}: more digits than the server's float keeps")
    return f"{number:f}"


def _find_caller() -> int:
    """Return how many frames up the caller of this package is, so that a warning names his line."""
    import sys

    level = 1
    frame = sys._getframe(1)
    while frame.f_back and _is_ours(frame.f_globals.get("__package__")):
        frame = frame.f_back
        level += 1
    return level


def _is_ours(package: object) -> bool:
    own = __name__.removesuffix(".soap.envelope")
    return isinstance(package, str) and f"{package}.".startswith(f"{own}.")


@cache
def _load_template(name: str) -> Template:
    """Return one template: a wheel carries them in the package, a checkout beside it."""
    assert __spec__ is not None
    here = os.path.dirname(os.path.dirname(__file__))
    for folder in (here, os.path.dirname(here)):
        try:
            # The loader also reads out of a zip (PEP 302): test_it_runs_out_of_a_zip.
            data: bytes = __spec__.loader.get_data(  # type: ignore[union-attr]
                os.path.join(folder, "templates", f"{name}.xml")
            )
        except OSError:
            continue
        return Template(data.decode().strip())
    raise FileNotFoundError(
        f"soapmail needs templates/{name}.xml, which is neither in nor beside {here}"
    )
