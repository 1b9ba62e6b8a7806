"""What may not be shown: secrets in texts, and the frames whose variables hold them.

It is done once, where an error or a log record leaves the package, and after all decisions.
"""

from __future__ import annotations

import sys

from .errors import MAX_VALUE_CHARACTERS, ResponseError, SoapMailError, TransportError, truncate

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Iterator
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
# What begins an escape, and all that it may be.
_ESCAPES = {
    "&": r"""
    &(?: \#(?P<number>[0-9]{1,7})           # HTML 4 and XML 1.0 4.1: htmlspecialchars, html.escape
       | \#[xX](?P<hex>[0-9a-fA-F]{1,6})
       | (?P<name>[A-Za-z][A-Za-z0-9]{1,31}) # htmlentities, of HTML 4 or 5
      );
""",
    "%": r"(?P<url>(?:%[0-9a-fA-F]{2})+)",  # RFC 3986 2.1: rawurlencode, quote
    "\\": r"""
    (?P<utf16>(?:\\u[0-9a-fA-F]{4})+)       # RFC 8259 7: json_encode, json.dumps
  | \\x(?P<byte>[0-9a-fA-F]{2})             # repr
  | \\(?P<octal>[0-3][0-7]{2})              # addcslashes
  | \\U(?P<letter>[0-9a-fA-F]{8})
  | \\(?P<slashed>.)                        # addslashes, var_export, JSON, repr
""",
}
# Of the contract: password, domain_password, rootpass, vps_rootpass, qs_rootpass, license_key,
# ssl_private_key, box_auth_value, sid.
_SECRET_NAME = (
    r"(?i)pass|pwd|secret|token|sess(?:ion)?_?id|(?:api|private|license)_?key"
    r"|(?:^|_)(?:key|auth|sid)(?:_|$)"
)
_TAG = (  # linear: what is quoted ends at the next tag at the latest (XML 1.0 3.1)
    r"""<(?P<closing>/?)(?P<name>[^\s<>/!?"'][^\s<>/"']*)"""
    r"""(?P<rest>(?:[^<>"']+|"[^"<]*"|'[^'<]*')*)>?"""
)
_NO_TAGS = r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)"
_MAP_KEY = r"([^<]*)</[^<>]*>\s*<(?:[^\s<>/:]*:)?value[\s/>]"
_TAGS_BETWEEN_CHECKS = 10_000
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "a": "\a", "v": "\v"}


def sanitize_error(error: E, secrets: Collection[str] = ()) -> E:
    """Return a copy of the error without secrets, its texts truncated."""
    args: list[Any]
    if isinstance(error, ResponseError):
        place = error.place and redact_excerpt(error.place, secrets, _MAX_PLACE_CHARACTERS)
        value = error.value and redact_excerpt(error.value, secrets, MAX_VALUE_CHARACTERS)
        args = [error.problem, error.operation, place, value]
    else:
        is_message = isinstance(error, TransportError)
        limit = _MAX_MESSAGE_CHARACTERS if is_message else _MAX_TEXT_CHARACTERS
        args = [
            redact_excerpt(part, secrets, limit) if isinstance(part, str) else part
            for part in error.args
        ]
    copy = type(error)(*args)
    copy.__cause__ = error.__cause__
    return copy


def redact_excerpt(text: str, secrets: Collection[str], limit: int = _MAX_TEXT_CHARACTERS) -> str:
    """Return so much of a text as an error can show, without secrets."""
    window = limit + _count_overlap(secrets)
    if len(text) <= window:
        return truncate(redact(text, secrets), limit)
    # What the window cuts in two at its far end is no secret any more, and not shown.
    if text.startswith("…"):
        return truncate(f"…{_hide(text[-window:], secrets, window - limit, window)}", limit)
    return truncate(f"{_hide(text[:window], secrets, 0, limit)}…", limit)


def is_secret_name(name: str) -> bool:
    """Return whether a field holds a password, passphrase, key or session id, by its name."""
    import re

    return re.search(_SECRET_NAME, name) is not None


def redact_fields(text: str, check: Callable[[], object]) -> str:
    """Return a text of XML with ``***`` in the elements whose names are those of secrets.

    Hidden are all between the tags, and attributes other than ``xsi:type``; in a Map, the value
    behind such a key. ``check`` is called from time to time, and may raise.
    """
    import re

    outside, inside = re.compile(_TAG), re.compile(f"{_NO_TAGS}|{_TAG}", re.DOTALL)
    map_key = re.compile(_MAP_KEY)
    parts: list[str] = []
    shown = at = 0  # from where on the text is not in the parts; and not looked at
    hidden, depth, key = "", 0, ""
    number = 0
    while (tag := (inside if hidden else outside).search(text, at)) is not None:
        number += 1
        if number % _TAGS_BETWEEN_CHECKS == 0:
            check()
        at = tag.end()
        name = (tag["name"] or "").rpartition(":")[2]
        is_empty = (tag["rest"] or "").endswith("/")
        if hidden:
            if name == hidden and not is_empty:
                depth += -1 if tag["closing"] else 1
            if depth == 0:
                parts.append(STARS if tag.start() > shown else "")
                hidden, shown = "", tag.start()
        elif not tag["closing"]:
            in_map = map_key.match(text, at) if name == "key" else None
            is_secret = is_secret_name(key if key and name == "value" else name)
            key = in_map[1] if in_map else ""
            if is_secret and not in_map:
                kind = re.search(r'\sxsi:type="[\w.:-]*"', tag["rest"])
                parts += [text[shown : tag.start()], "<", tag["name"], kind[0] if kind else ""]
                parts.append("/>" if is_empty else ">")
                hidden, depth, shown = "" if is_empty else name, 1, at
    return "".join([*parts, STARS if hidden and text[shown:] else text[shown:]])


def drop_frames(error: BaseException) -> BaseException:
    """Cut what an error collected on its way: frames, and errors of packages below."""
    cause = error.__cause__
    if cause is not None:
        cause.__traceback__ = cause.__context__ = cause.__cause__ = None
    error.__context__ = None
    error.__cause__ = cause
    return error.with_traceback(None)


def redact(text: str, secrets: Collection[str], check: Callable[[], object] | None = None) -> str:
    """Return a text with ``***`` for each secret, also where it stands escaped.

    A secret of one or two letters is hidden where no letter or digit stands beside it. ``check``
    is called from time to time, and may raise.
    """
    return _hide(text, secrets, 0, len(text), check)


def _hide(
    text: str,
    secrets: Collection[str],
    first: int,
    last: int,
    check: Callable[[], object] | None = None,
) -> str:
    """Return a part of a text with ``***`` for each secret that begins or ends in it."""
    parts: list[str] = []
    end_of_last = first
    for start, end in sorted(_find_secrets(text, secrets, check)):
        if start >= last:
            break
        is_short = end - start < _SHORT_SECRET
        if is_short and (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
            continue
        if max(start, first) >= end_of_last and end > first:
            parts += [text[end_of_last:start], STARS]
        end_of_last = max(end_of_last, end)
    return "".join([*parts, text[end_of_last:last]])


def _count_overlap(secrets: Collection[str]) -> int:
    return _OVERLAP_CHARACTERS + _ESCAPED_CHARACTERS * max(map(len, secrets), default=0)


def _find_secrets(
    text: str, secrets: Collection[str], check: Callable[[], object] | None
) -> Iterator[tuple[int, int]]:
    """Yield where secrets begin and end: plain, or escaped as a whole or in part.

    Both sides are unescaped step by step, and each form of the one is looked for in each form of
    the other: a secret may hold what looks like an escape.
    """
    forms = {form for secret in filter(None, secrets) for form in _iter_forms(secret)}
    if not forms:
        return
    more = _count_overlap(secrets)
    for begin in range(0, len(text), _PIECE_CHARACTERS):
        if begin and check is not None:
            check()
        for plain, starts, ends in _unescape(text[begin : begin + _PIECE_CHARACTERS + more]):
            for form in forms:
                at = plain.find(form)
                while at >= 0:
                    last = at + len(form) - 1
                    yield begin + starts[at], begin + ends[last]
                    at = plain.find(form, last + 1)


def _iter_forms(secret: str) -> Iterator[str]:
    # A dump is read as Latin-1, in which UTF-8 has a letter for each byte; PHP's utf8_encode makes
    # UTF-8 of that again. Parsers write line ends as one letter (XML 1.0 2.11).
    lines = secret.replace("\r\n", "\n").replace("\r", "\n")
    texts = {secret, lines}
    for text in (secret, lines):
        once = text.encode("utf-8", "replace").decode("latin-1")
        texts |= {
            once,
            once.encode().decode("latin-1"),
            once.encode("latin-1").decode("cp1252", "replace"),
        }
        texts.add(text.encode("cp1252", "replace").decode("latin-1"))
    for text in texts:
        for plain, _, _ in _unescape(text):
            yield plain


def _unescape(text: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield a text as it is, unescaped once, twice ..., and where each letter began and ended.

    All escapes are undone, as one may stand upon another; and each kind by itself, as what stands
    beside a secret may look like the beginning of an escape of another kind, or like its end.
    """
    import re

    kinds = [escape for mark, escape in _ESCAPES.items() if mark in text]
    yield _normalize(text), range(len(text)), range(1, len(text) + 1)
    for escapes in ["|".join(_ESCAPES.values()), *(kinds if len(kinds) > 1 else [])]:
        plain = text
        starts: Any = range(len(text))
        ends: Any = range(1, len(text) + 1)
        for _ in range(_MAX_ESCAPES):
            letters: list[str] = []
            first: list[int] = []
            last: list[int] = []
            done = 0
            for match in re.finditer(escapes, plain, re.VERBOSE | re.DOTALL):
                meaning = _decode_escape(match)
                letters += plain[done : match.start()], meaning
                first += [*starts[done : match.start()], *[starts[match.start()]] * len(meaning)]
                last += [*ends[done : match.start()], *[ends[match.end() - 1]] * len(meaning)]
                done = match.end()
            if done == 0:
                break
            plain = "".join([*letters, plain[done:]])
            starts, ends = [*first, *starts[done:]], [*last, *ends[done:]]
            yield _normalize(plain), starts, ends


def _normalize(text: str) -> str:
    """Write what ISO-8859-1 lacks as PHP does (utf8_decode), and the blank of a form as such."""
    import re

    return re.sub("[^\0-\xff]", "?", text).replace("+", " ")


def _decode_escape(escape: re.Match[str]) -> str:
    from html.entities import html5

    kind = str(escape.lastgroup)
    digits = escape[kind]
    if kind == "name":
        return html5.get(f"{digits};", escape[0])
    if kind == "url":
        data = bytes.fromhex(digits.replace("%", ""))
        try:
            return data.decode()
        except UnicodeDecodeError:  # rawurlencode of ISO-8859-1
            return data.decode("latin-1")
    if kind == "utf16":
        return bytes.fromhex(digits.replace("\\u", "")).decode("utf-16-be", "replace")
    if kind == "slashed":
        return _CONTROLS.get(digits, digits)
    code = int(digits, {"number": 10, "octal": 8}.get(kind, 16))
    return chr(code) if code <= sys.maxunicode else escape[0]
