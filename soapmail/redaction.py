"""What may not be shown: secrets in texts, and the frames whose variables hold them.

It is done once, where an error or a log record leaves the package, and after all decisions.
"""

from __future__ import annotations

import sys
from itertools import chain

from .errors import ResponseError, SoapMailError, TransportError, shortened

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterator
    from typing import Any, TypeVar

    E = TypeVar("E", bound=SoapMailError)

STARS = "***"
_LONG_TEXT = 100_000
_TOLD = 400
# A secret of fewer letters is part of many words; it is hidden where it stands alone.
_SHORT = 3
# One letter as PHP, Python, XML, JSON, or a URL may write it.
_WRITTEN = (
    r"&(?:#(?P<number>[0-9]{1,7})|#[xX](?P<hex>[0-9a-fA-F]{1,6})|(?P<name>[A-Za-z][A-Za-z0-9]{1,8}));"
    r"|(?P<url>(?:%[0-9a-fA-F]{2})+)|\\u(?P<code>[0-9a-fA-F]{4})|\\(?P<slashed>.)|(?P<blank>\+)"
)
_LEVELS = 3  # how often a text may have been escaped, one time after another


def outgoing(error: E, secrets: Collection[str] = ()) -> E:
    """Make the error that may leave: it holds no secret, and is of fit size."""
    if isinstance(error, ResponseError):
        window = 10_000 + 12 * max(map(len, secrets), default=0)
        place = hidden(error.place, secrets, window)
        value = shortened(hidden(error.value, secrets, window))
        args: list[Any] = [error.problem, error.operation, place, value]
    else:
        args = [hidden(part, secrets) if isinstance(part, str) else part for part in error.args]
    if isinstance(error, TransportError):
        args[0] = args[0][:_TOLD]
    made = type(error)(*args)
    made.__cause__ = error.__cause__
    return made


def without_tokens(text: str | None) -> str | None:
    """Hide what may be a session id, of a login whose response could not be understood."""
    import re

    return None if text is None else re.sub("[0-9A-Za-z]{16,}", STARS, text)


def without_frames(error: BaseException) -> BaseException:
    """Cut what an error collected on its way: frames, and errors of packages below."""
    cause = error.__cause__
    if cause is not None:
        cause.__traceback__ = cause.__context__ = cause.__cause__ = None
    error.__context__ = None
    error.__cause__ = cause
    error.__suppress_context__ = cause is not None
    return error.with_traceback(None)


def hidden(
    text: Any, secrets: Collection[str], window: int | None = None, *, everywhere: bool = False
) -> Any:
    """Write ``***`` for each secret, also where it stands escaped.

    A secret of one or two letters is hidden where no letter or digit stands beside it.
    Of a longer text only the ``window`` at its beginning is looked at and kept, or at its end
    where it begins with an ellipsis. The time grows with the text, whatever the server sent. In a
    long text only whole secrets are looked for, unless ``everywhere``.
    """
    if text is None:
        return None
    if window is not None:
        text = text[-window:] if text.startswith("…") else text[:window]
    secrets = sorted(filter(None, secrets), key=len, reverse=True)
    forms = [sorted(set(_forms(secret)), key=len, reverse=True) for secret in secrets]
    covered = [(at, at + len(form)) for form in chain(*forms) for at in _places(text, form)]
    if len(text) > _LONG_TEXT and not everywhere:
        secrets = []
    if secrets and not (text.isascii() and text.isalnum()):
        # Piece by piece, each with the beginning of the next one, in which the longest form ends.
        more = 10_000 + 20 * len(secrets[0])
        for start in range(0, len(text), _LONG_TEXT):
            found = _mixed(text[start : start + _LONG_TEXT + more], secrets)
            covered += [(start + first, start + last) for first, last in found]
    pieces: list[str] = []
    done = 0
    for start, end in sorted(covered):
        if end - start < _SHORT and _is_inside_a_word(text, start, end):
            continue
        if start >= done:
            pieces += [text[done:start], STARS]
        done = max(done, end)
    return "".join([*pieces, text[done:]])


def _is_inside_a_word(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()


def _places(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + len(wanted))


def _forms(secret: str) -> Iterator[str]:
    """Give the ways in which a whole secret may be written."""
    import json
    from html import escape
    from html.entities import codepoint2name
    from urllib.parse import quote, quote_plus

    kept = secret.encode("latin-1", "replace").decode("latin-1")  # what PHP keeps of it
    mislabelled = secret.encode("utf-8", "replace").decode("latin-1")
    for text in {secret, kept, mislabelled}:
        xml = escape(text)
        yield from (
            text,
            xml,
            escape(text, quote=False),
            escape(xml),
            xml.replace("&#x27;", "&#39;"),
            xml.replace("&#x27;", "&#039;"),
        )
        yield "".join(
            f"&{codepoint2name[ord(one)]};" if ord(one) in codepoint2name else one for one in text
        )
        yield from (
            repr(text)[1:-1],
            json.dumps(text)[1:-1],
            json.dumps(text)[1:-1].replace("/", "\\/"),
        )
        slashed = text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
        yield slashed.replace("\0", "\\0")
        yield from (quote(text), quote(text, ""), quote_plus(text))


def _mixed(text: str, secrets: Collection[str]) -> Iterator[tuple[int, int]]:
    """Find secrets of which some letters are escaped, in any way and one way upon another.

    Both sides are reduced to plain letters; what is found there says where it came from.
    """
    plain, starts, ends = _plain(text)
    for secret in secrets:
        wanted = _plain(secret)[0]
        for at in _places(plain, wanted):
            yield starts[at], ends[at + len(wanted) - 1]


def _plain(text: str) -> tuple[str, list[int], list[int]]:
    """Undo escapes, and say of each letter where it began and ended."""
    import re

    pattern = re.compile(_WRITTEN, re.DOTALL)
    starts, ends = list(range(len(text))), list(range(1, len(text) + 1))
    for _ in range(_LEVELS):
        letters: list[str] = []
        first: list[int] = []
        last: list[int] = []
        done = 0
        for found in pattern.finditer(text):
            meant = _undone(found)
            letters += text[done : found.start()], meant
            first += starts[done : found.start()] + [starts[found.start()]] * len(meant)
            last += ends[done : found.start()] + [ends[found.end() - 1]] * len(meant)
            done = found.end()
        if done == 0:
            break
        text = "".join([*letters, text[done:]])
        starts, ends = first + starts[done:], last + ends[done:]
    # PHP turns what ISO-8859-1 lacks into question marks.
    return "".join("?" if one > "\xff" else one for one in text), starts, ends


def _undone(found: re.Match[str]) -> str:
    from html.entities import name2codepoint
    from urllib.parse import unquote

    kind = str(found.lastgroup)
    written = found[kind]
    if kind == "name":
        code = name2codepoint.get(written, 0x27 if written == "apos" else None)
        return found[0] if code is None else chr(code)
    if kind == "url":
        return unquote(written, errors="replace").replace("+", " ")
    if kind == "slashed":
        return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(written, written)
    if kind == "blank":
        return " "
    code = int(written, 10 if kind == "number" else 16)
    return chr(code) if code <= sys.maxunicode else found[0]
