"""What may not be shown is hidden, however it is written, in linear time."""

from __future__ import annotations

import json
import string
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from soapmail import OutcomeUnknown, ResponseError, SoapFault, TransportError
from soapmail.deadline import DeadlineExceeded
from soapmail.redaction import (
    drop_frames,
    is_secret_name,
    redact,
    redact_excerpt,
    redact_fields,
    sanitize_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from soapmail import SoapMailError


@pytest.mark.parametrize("quote", ["'", '"', " ", "/", "\\", "é"])
def test_every_written_form_of_a_secret_is_hidden(quote: str) -> None:
    from html import escape
    from urllib.parse import quote as in_path
    from urllib.parse import quote_plus

    secret = f"se{quote}cret"
    forms = [secret, escape(secret), escape(secret, quote=False), repr(secret)[1:-1]]
    forms += [in_path(secret), in_path(secret, ""), quote_plus(secret)]
    forms += [escape(secret).replace("&#x27;", "&apos;"), escape(secret).replace("&#x27;", "&#39;")]
    for form in forms:
        assert redact(f"a{form}b", [secret]) == "a***b"


@pytest.mark.parametrize("secrets", [["b", "ab"], ["ab", "b"]])
def test_a_secret_inside_another_one_leaves_nothing_of_it(secrets: list[str]) -> None:
    assert redact("(ab)", secrets) == "(***)"


# The whole forms of one secret; the last two come from urllib.parse, the others are written out.
AWKWARD = "<p&'\" /é\\>"


WHOLE_FORMS = (
    AWKWARD,
    "&lt;p&amp;&#x27;&quot; /é\\&gt;",
    "&lt;p&amp;'\" /é\\&gt;",
    "&amp;lt;p&amp;amp;&amp;#x27;&amp;quot; /é\\&amp;gt;",
    "<p&\\'\" /é\\\\>",
    "%3Cp%26%27%22%20/%C3%A9%5C%3E",
    "%3Cp%26%27%22%20%2F%C3%A9%5C%3E",
    "%3Cp%26%27%22+%2F%C3%A9%5C%3E",
)


@pytest.mark.parametrize("form", WHOLE_FORMS)
def test_whole_forms_are_hidden_in_long_texts_and_of_long_secrets(form: str) -> None:
    assert redact(f"{form}{' ' * 100_001}", [AWKWARD]) == "***" + " " * 100_001
    assert redact(f"({form * 20})", [AWKWARD * 20]) == "(***)"


def test_of_forms_that_begin_alike_the_longer_one_is_hidden() -> None:
    secret = "%" + "25" * 60
    assert redact(f"%25{'25' * 60}", [secret]) == "***"
    assert redact("&lt;a/&amp;", ["<a/&"]) == "***"
    assert redact("&lt;a&#39;&amp;amp;", ["<a'&"]) == "***"
    assert redact("&lt;a%2F&", ["<a/&"]) == "***"
    assert redact("&lt;a%20&", ["<a &"]) == "***"
    assert redact("&lt;a+&", ["<a &"]) == "***"


def test_what_is_long_begins_behind_the_limits() -> None:
    mixed = "&lt;a&"  # only one of its letters is escaped
    assert redact(mixed + "b" * 97, ["<a&" + "b" * 97]) == "***"
    assert redact(mixed + " " * 99_994, ["<a&"]) == "***" + " " * 99_994


def test_hiding_takes_no_long_time() -> None:
    assert redact("\\" * 200, ["\\" * 99 + "x"]) == "\\" * 200
    assert redact("a" * 1_000_000, ["a" * 50_000 + "b"]) == "a" * 1_000_000
    assert redact("a" * 1_000_000 + "aab", ["aab"]) == "a" * 1_000_000 + "***"


def php_forms(secret: str) -> dict[str, str]:
    """Write a secret as PHP's own functions do; the rules are those of its manual."""
    kept = "".join(letter if letter <= "\xff" else "?" for letter in secret)
    entities = {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "é": "&eacute;",
        "ü": "&uuml;",
    }
    return {
        "utf8_decode": kept,
        "addslashes": "".join(f"\\{letter}" if letter in "'\"\\" else letter for letter in secret),
        "json_encode": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "htmlentities": "".join(entities.get(letter, letter) for letter in secret),
        "htmlspecialchars": escape(secret, quote=False)
        .replace('"', "&quot;")
        .replace("'", "&#039;"),
        "urlencode": quote_plus(secret),
        "rawurlencode": quote(secret, safe=""),
        "var_export": secret.replace("\\", "\\\\").replace("'", "\\'"),
        "json of htmlentities": "".join(entities.get(letter, letter) for letter in secret).replace(
            "/", "\\/"
        ),
        "addslashes of what is kept": "".join(f"\\{o}" if o in "'\"\\" else o for o in kept),
    }


@pytest.mark.parametrize("function", php_forms(""))
@pytest.mark.parametrize(
    "secret", ["p'a\"s\\s/é<&>ü", "日本語-key", "it's 5 €", "plain", "a/b+c d"]
)
@pytest.mark.parametrize("length", [0, 100_001])
def test_forms_in_which_php_echoes_a_secret(secret: str, function: str, length: int) -> None:
    if length and "of" in function.split():  # one way upon another is known in short texts only
        return
    form = php_forms(secret)[function]
    assert redact(f"<{form}>" + " " * length, [secret]) == "<***>" + " " * length


def test_of_a_long_value_enough_is_searched_to_show_none_of_a_secret() -> None:
    secret = "0123456789abcdef" * 1000
    error = ResponseError("x", "api_x", "a" + secret, "b" * 50 + secret)
    sanitized = sanitize_error(error, [secret])
    assert (sanitized.place, sanitized.value) == ("a***", "b" * 50 + "***")
    tail = ResponseError("x", None, None, "…" + secret + "c" * 50)
    assert sanitize_error(tail, [secret]).value == "…***" + "c" * 50


def test_an_error_keeps_its_cause_and_nothing_else_that_hangs_on_it() -> None:
    error = OutcomeUnknown("x secret")
    error.__cause__ = TimeoutError("mine")
    error.__context__ = ValueError("secret")
    sanitized = drop_frames(sanitize_error(error, ["secret"]))
    assert str(sanitized) == "x ***"
    assert sanitized.__cause__ is error.__cause__
    assert sanitized.__context__ is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p: the login of u failed (p)", "***: the login of u failed (***)"),
        ("a path, supposed to help", "a path, supposed to help"),
        ("<password>p</password>", "<password>***</password>"),
        ("as a URL: %70", "as a URL: ***"),
        ("up" * 100_000 + " p", "up" * 100_000 + " ***"),
    ],
)
def test_a_secret_of_one_letter_is_hidden_where_it_stands_alone(text: str, expected: str) -> None:
    assert redact(text, ["p"]) == expected


def test_a_secret_of_three_letters_is_hidden_everywhere() -> None:
    assert redact("xabcx ab", ["abc"]) == "x***x ab"


@pytest.mark.parametrize(
    ("secret", "form"),
    [
        ("se&cret\\", "se&amp;cret\\"),
        ("se&cret\\", "se&amp;amp;cret\\"),
        ("a+b\\", "a+b\\\\"),
        ("namp%", "namp%25"),
        ("ps\0s", "ps\\0s"),
        ("pa\U000e0067ss", "pa\\U000e0067ss"),
    ],
)
@pytest.mark.parametrize("before", ["", '"', " "])
@pytest.mark.parametrize("behind", ["", '"', "'", " "])
def test_what_stands_beside_a_secret_hides_no_part_of_it(
    secret: str, form: str, before: str, behind: str
) -> None:
    """The last character of a secret may begin an escape together with what follows it."""
    assert redact(before + form + behind, [secret]) == f"{before}***{behind}"


@pytest.mark.parametrize("begin", ["", "…"])
def test_no_part_of_a_secret_moves_into_what_is_kept(begin: str) -> None:
    """The text is cut where its search ends, in the middle of a secret; stars make it shorter."""
    secret = string.ascii_letters * 2 + string.digits
    error = sanitize_error(ResponseError("x", None, None, begin + secret * 400), [secret])
    assert set(str(error.value)) == {"…", "*"}
    assert len(str(error.value)) <= 100
    message = str(sanitize_error(TransportError("x" + secret * 400), [secret]))
    assert (message[:4], message[-1], set(message)) == ("x***", "…", set("x*…"))


def escape_often(text: str, times: int) -> str:
    for _ in range(times):
        text = escape(text)
    return text


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_what_stands_around_an_escaped_secret_stays_to_the_letter(times: int) -> None:
    assert redact(f"x {escape_often('p&ss', times)} y", ["p&ss"]) == "x *** y"
    assert redact(f"&lt;{escape_often('p&ss', times)}&gt;", ["p&ss"]) == "&lt;***&gt;"


def test_what_was_escaped_more_than_three_times_is_another_text() -> None:
    text = f"x {escape_often('p&ss', 4)} y"
    assert redact(text, ["p&ss"]) == text


@pytest.mark.parametrize("other", ["&nothing;", "&#1114112;", "&#x110000;", "&#1114111;", "%zz"])
def test_what_is_no_escape_stays(other: str) -> None:
    assert redact(f"{other} p&amp;ss {other}", ["p&ss"]) == f"{other} *** {other}"


@pytest.mark.parametrize("text", ["-yab", "aby-", "xabx", "1ab", "ab1"])
def test_two_letters_of_a_word_are_no_secret(text: str) -> None:
    assert redact(text, ["ab"]) == text


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (lambda text: SoapFault("C", text), 100_000),
        (lambda text: ResponseError("p", "o", text), 10_000),
        (TransportError, 400),
    ],
)
def test_a_text_is_cut_behind_its_limit(make: Callable[[str], SoapMailError], limit: int) -> None:
    kept, cut = (sanitize_error(make("x" * length)) for length in (limit, limit + 1))
    assert "x" * limit in kept.args
    assert f"{'x' * (limit - 1)}…" in cut.args


def test_a_secret_that_ends_before_what_is_shown_leaves_no_stars() -> None:
    text = f"…{'a' * 20_000}secret{'b' * 10}"
    assert redact_excerpt(text, ["secret"], 10) == "b" * 10


@pytest.mark.parametrize(
    "name", ["password", "domain_password", "rootpass", "vps_rootpass", "qs_rootpass", "license_key", "ssl_private_key", "box_auth_value", "sid", "passphrase", "api_key", "apiKey", "privatekey", "session_id", "sessionid", "PHPSESSID", "pwd"],
)  # fmt: skip
def test_fields_of_the_contract_that_hold_a_secret_are_known_by_name(name: str) -> None:
    assert is_secret_name(name)
    for before, after in (
        (f"<{name}>a &amp; b</{name}>", f"<{name}>***</{name}>"),
        (f'<ns1:{name} xsi:type="xsd:string">x\ny</ns1:{name}>', f'<ns1:{name} xsi:type="xsd:string">***</ns1:{name}>'),
        (f"<{name}><![CDATA[x]]></{name}>", f"<{name}>***</{name}>"),
        (f"<{name}/><a>x</a>", f"<{name}/><a>x</a>"),
        (f"<{name}></{name}>", f"<{name}></{name}>"),
        (f"<{name}>cut o", f"<{name}>***"),
    ):  # fmt: skip
        assert redact_fields(f"<r>{before}", list) == f"<r>{after}"


def test_other_fields_are_shown() -> None:
    for name in (
        "username",
        "invoices_id",
        "keyword",
        "monkey",
        "author",
        "sidebar",
        "invoices_paid",
        "status_text",
    ):
        assert not is_secret_name(name)
        assert redact_fields(f"<{name}>x</{name}>", list) == f"<{name}>x</{name}>"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<passwords><item>geheim</item><passwords>x</passwords></passwords><a>x</a>", "<passwords>***</passwords><a>x</a>"),
        ("<license_key><value>geheim</value></license_key>", "<license_key>***</license_key>"),
        ("<pwd><![CDATA[a</pwd>geheim]]></pwd><a>x</a>", "<pwd>***</pwd><a>x</a>"),
        ("<pwd><!-- </pwd> -->geheim</pwd>", "<pwd>***</pwd>"),
        ("<pwd>a<bgeheim</pwd><a>x</a>", "<pwd>***</pwd><a>x</a>"),
        ("<pwd>geheim<![CDATA[", "<pwd>***"),
        ('<pwd value="geheim"/><a>x</a>', "<pwd/><a>x</a>"),
        ('<pwd a="x>geheim">y</pwd>', "<pwd>***</pwd>"),
        ('<pwd a="/>geheim"/><a>x</a>', "<pwd/><a>x</a>"),
        ('<pwd a="it\'s"/><a>x</a>', "<pwd/><a>x</a>"),
        ("""<pwd a='"' b="/>" c='"'>geheim</pwd>""", "<pwd>***</pwd>"),
        ('<pwd a="x geheim</pwd><a>x</a>', "<pwd>***</pwd><a>x</a>"),
        ("<pwd><?p </pwd> ?>geheim</pwd>", "<pwd>***</pwd>"),
        ('<pwd q:type="geheim">geheim</pwd>', "<pwd>***</pwd>"),
        ("<!-- never closed <pwd>geheim</pwd><a>x</a>", "<!-- never closed <pwd>***</pwd><a>x</a>"),
        ("<![CDATA[ <pwd>geheim</pwd><a>x</a>", "<![CDATA[ <pwd>***</pwd><a>x</a>"),
        ("<a><?x <!-- ?><pwd>geheim</pwd></a>", "<a><?x <!-- ?><pwd>***</pwd></a>"),
        ("<item><i/><key>pwd</key><value>geheim</value></item>", "<item><i/><key>pwd</key><value>***</value></item>"),
        ("<item><key>geheim</key><name>x</name></item>", "<item><key>***</key><name>x</name></item>"),
        ('<pwd\nxsi:type="xsd:string" value="geheim">geheim</pwd >', '<pwd\nxsi:type="xsd:string">***</pwd >'),
        ("<passwörd>geheim</passwörd>", "<passwörd>***</passwörd>"),
        (
            "<item><key>pwd</key><value><item>geheim</item></value></item><item><key>a</key><value>x</value></item>",
            "<item><key>pwd</key><value>***</value></item><item><key>a</key><value>x</value></item>",
        ),
        ("<item><key>pwd</key></item><value>x</value>", "<item><key>***</key></item><value>x</value>"),
        ("<?xml version='1.0'?><!DOCTYPE a><a>x</a>", "<?xml version='1.0'?><!DOCTYPE a><a>x</a>"),
    ],
)  # fmt: skip
def test_a_field_that_holds_a_secret_is_hidden_whatever_it_holds(before: str, after: str) -> None:
    assert redact_fields(before, list) == after


def test_many_fields_are_searched_no_longer_than_allowed() -> None:
    def fail() -> None:
        raise DeadlineExceeded

    assert redact_fields("<a>x</a>" * 1_000, fail) == "<a>x</a>" * 1_000
    with pytest.raises(DeadlineExceeded):
        redact_fields("<a>x</a>" * 10_000, fail)


@pytest.mark.parametrize(
    "secret", ["it's-wörd€-42", "O'B&hm<77>", "Bö\rhm 1234567", 'q"uo\\te€', "smile😀ö'"]
)
def test_forms_in_which_python_writes_a_secret(secret: str) -> None:
    """Each is what the function itself writes here."""
    forms = {
        "ascii": ascii(secret)[1:-1],
        "repr": repr(secret)[1:-1],
        "bytes": repr(secret.encode())[2:-1],
        "html.escape": escape(secret),
        "html.escape of ascii": secret.encode("ascii", "xmlcharrefreplace").decode(),
        "quote": quote(secret),
        "quote_plus": quote_plus(secret),
        "json": json.dumps(secret)[1:-1],
        "json of json": json.dumps(json.dumps(secret))[3:-3],
        "backslashreplace": secret.encode("ascii", "backslashreplace").decode(),
        "unicode_escape": secret.encode("unicode_escape").decode(),
    }
    if max(secret) <= "\xff":
        forms["quote of ISO-8859-1"] = quote(secret, encoding="latin-1")
        forms["bytes of ISO-8859-1"] = repr(secret.encode("latin-1"))[2:-1]
    for name, form in forms.items():
        assert redact(f"<{form}>", [secret]) == "<***>", name


@pytest.mark.parametrize(
    ("form", "secret"),
    [
        ("it&apos;s-w&ouml;rd&euro;", "it's-wörd€"),  # htmlentities with ENT_HTML5
        ("O&apos;B&comma;&NewLine;&lowbar;x", "O'B,\n_x"),
        (r"it\'s-w\303\266rd\342\202\254", "it's-wörd€"),  # addcslashes
        (r"a\a\v\001b", "a\a\v\x01b"),
        ("w%F6rd%27s", "wörd's"),  # rawurlencode of ISO-8859-1
    ],
)
def test_more_forms_of_php(form: str, secret: str) -> None:
    assert redact(f"<{form}>", [secret]) == "<***>"


@pytest.mark.parametrize("secret", ["pa€word12", "'é€&<>\r", "sec\r\nret", "p😀ss€", "éàè"])
def test_forms_of_other_encodings_and_line_ends(secret: str) -> None:
    forms = [
        secret.replace("\r\n", "\n").replace("\r", "\n"),  # XML 1.0 2.11
        secret.encode().decode("latin-1"),
        secret.encode().decode("latin-1").encode().decode("latin-1"),  # utf8_encode
    ]
    if "😀" not in secret:
        forms += [secret.encode("cp1252").decode("latin-1"), quote(secret, encoding="cp1252")]
    for form in forms:
        assert redact(f"<{form}>", [secret]) == "<***>", form
