"""What may not be shown: secrets in texts, and the frames whose variables hold them.

It is done once, where an error or a log record leaves the package, and after all decisions.
"""

from __future__ import annotations

import sys

from .errors import MAX_VALUE_CHARACTERS, ResponseError, SoapMailError, TransportError, truncate

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterator
    from typing import Any, TypeVar

    E = TypeVar("E", bound=SoapMailError)

STARS = "***"
_PIECE_CHARACTERS = 100_000
# How much of a text in an error is kept; what is cut off is not searched.
_MAX_TEXT_CHARACTERS = 100_000
_MAX_PLACE_CHARACTERS = 10_000
_MAX_MESSAGE_CHARACTERS = 400
# Behind the end of a piece or of what is kept, so that a secret across it is found: so much, and
# so much for each character of the longest secret, as "&amp;#039;" has ten characters for one.
_OVERLAP_CHARACTERS, _ESCAPED_CHARACTERS = 10_000, 20
# A secret of fewer letters is part of many words, and hidden where it stands alone.
_SHORT_SECRET = 3
_MAX_ESCAPES = 3  # how often a text may have been escaped, one time after another
_ESCAPE = r"""(?xs)
    &(?: \#(?P<number>[0-9]{1,7})           # HTML 4 and XML 1.0 4.1: htmlspecialchars, html.escape
       | \#[xX](?P<hex>[0-9a-fA-F]{1,6})
       | (?P<name>[A-Za-z][A-Za-z0-9]{1,8})
      );
  | (?P<url>(?:%[0-9a-fA-F]{2})+)           # RFC 3986 2.1: rawurlencode, quote
  | (?P<plus>\+)                            # the blank of a form: urlencode, quote_plus
  | (?P<utf16>(?:\\u[0-9a-fA-F]{4})+)       # RFC 8259 7: json_encode, json.dumps
  | \\x(?P<byte>[0-9a-fA-F]{2})             # repr
  | \\(?P<slashed>.)                        # addslashes, var_export, JSON, repr
"""
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def sanitize_error(error: E, secrets: Collection[str] = ()) -> E:
    """Return a copy of the error without secrets, its texts truncated."""
    args: list[Any]
    if isinstance(error, ResponseError):
        place = _redact_excerpt(error.place, secrets, _MAX_PLACE_CHARACTERS)
        value = _redact_excerpt(error.value, secrets, MAX_VALUE_CHARACTERS)
        args = [error.problem, error.operation, place, value]
    else:
        is_message = isinstance(error, TransportError)
        limit = _MAX_MESSAGE_CHARACTERS if is_message else _MAX_TEXT_CHARACTERS
        args = [
            _redact_excerpt(part, secrets, limit) if isinstance(part, str) else part
            for part in error.args
        ]
    copy = type(error)(*args)
    copy.__cause__ = error.__cause__
    return copy


def _redact_excerpt(text: str | None, secrets: Collection[str], limit: int) -> str | None:
    if text is None:
        return None
    window = limit + _count_overlap(secrets)
    return truncate(
        redact(text[-window:] if text.startswith("…") else text[:window], secrets), limit
    )


def redact_tokens(text: str) -> str:
    """Hide what may be a session id, of a login whose response could not be understood."""
    import re

    return re.sub("[0-9A-Za-z]{16,}", STARS, text)


def drop_frames(error: BaseException) -> BaseException:
    """Cut what an error collected on its way: frames, and errors of packages below."""
    cause = error.__cause__
    if cause is not None:
        cause.__traceback__ = cause.__context__ = cause.__cause__ = None
    error.__context__ = None
    error.__cause__ = cause
    error.__suppress_context__ = cause is not None
    return error.with_traceback(None)


def redact(text: str, secrets: Collection[str]) -> str:
    """Return a text with ``***`` for each secret, also where it stands escaped.

    A secret of one or two letters is hidden where no letter or digit stands beside it. The time
    grows with the text, whatever the server sent.
    """
    parts: list[str] = []
    end_of_last = 0
    for start, end in sorted(_find_secrets(text, secrets)):
        is_short = end - start < _SHORT_SECRET
        if is_short and (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
            continue
        if start >= end_of_last:
            parts += [text[end_of_last:start], STARS]
        end_of_last = max(end_of_last, end)
    return "".join([*parts, text[end_of_last:]])


def _count_overlap(secrets: Collection[str]) -> int:
    return _OVERLAP_CHARACTERS + _ESCAPED_CHARACTERS * max(map(len, secrets), default=0)


def _find_secrets(text: str, secrets: Collection[str]) -> Iterator[tuple[int, int]]:
    """Yield where secrets begin and end: plain, or escaped as a whole or in part.

    Both sides are unescaped step by step, and each form of the one is looked for in each form of
    the other: a secret may hold what looks like an escape.
    """
    forms = {form for secret in filter(None, secrets) for form in _iter_forms(secret)}
    if not forms:
        return
    more = _count_overlap(secrets)
    for begin in range(0, len(text), _PIECE_CHARACTERS):
        for plain, starts, ends in _unescape(text[begin : begin + _PIECE_CHARACTERS + more]):
            for form in forms:
                at = plain.find(form)
                while at >= 0:
                    last = at + len(form) - 1
                    yield begin + starts[at], begin + ends[last]
                    at = plain.find(form, last + 1)


def _iter_forms(secret: str) -> Iterator[str]:
    # A dump is read as Latin-1, in which UTF-8 has a letter for each byte.
    for text in {secret, secret.encode("utf-8", "replace").decode("latin-1")}:
        for plain, _, _ in _unescape(text):
            yield plain


def _unescape(text: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield a text as it is, unescaped once, twice ..., and where each letter began and ended.

    What ISO-8859-1 lacks is a question mark, as PHP makes it of it (utf8_decode).
    """
    import re

    pattern = re.compile(_ESCAPE)
    starts: Any = range(len(text))
    ends: Any = range(1, len(text) + 1)
    for _ in range(_MAX_ESCAPES):
        yield re.sub("[^\0-\xff]", "?", text), starts, ends
        letters: list[str] = []
        first: list[int] = []
        last: list[int] = []
        done = 0
        for match in pattern.finditer(text):
            meaning = _decode_escape(match)
            letters += text[done : match.start()], meaning
            first += [*starts[done : match.start()], *[starts[match.start()]] * len(meaning)]
            last += [*ends[done : match.start()], *[ends[match.end() - 1]] * len(meaning)]
            done = match.end()
        if done == 0:
            return
        text = "".join([*letters, text[done:]])
        starts, ends = [*first, *starts[done:]], [*last, *ends[done:]]
    yield re.sub("[^\0-\xff]", "?", text), starts, ends


def _decode_escape(escape: re.Match[str]) -> str:
    from html.entities import name2codepoint
    from urllib.parse import unquote

    kind = str(escape.lastgroup)
    digits = escape[kind]
    if kind == "name":
        code = name2codepoint.get(digits, 0x27 if digits == "apos" else None)
        return escape[0] if code is None else chr(code)
    if kind == "url":
        return unquote(digits, errors="replace")
    if kind == "plus":
        return " "
    if kind == "utf16":
        return bytes.fromhex(digits.replace("\\u", "")).decode("utf-16-be", "replace")
    if kind == "slashed":
        return _CONTROLS.get(digits, digits)
    code = int(digits, 10 if kind == "number" else 16)
    return chr(code) if code <= sys.maxunicode else escape[0]
