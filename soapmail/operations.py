"""The operations of the API: which take a session, which change something, and where they are."""

from __future__ import annotations

ENDPOINT = "https://my.interserver.net/api.php"

_WITHOUT_SESSION = {"api_login", "api_get_license_types", "api_get_paypal_url"}
# Their responses hold what logs in, as good as a password; they change nothing, though their names
# do not say so.
ISSUING = {"api_login", "api_api_auto_zonemta_login"}


def takes_session(operation: str) -> bool:
    """Return whether an operation's first parameter is the session id."""
    return operation.startswith("api_") and operation not in _WITHOUT_SESSION


def may_change(operation: str) -> bool:
    """Return, by the name alone, whether an operation may change something."""
    return not operation.startswith("get_") and "_get_" not in operation


def changes(operation: str) -> bool:
    """Return whether an operation that has a method of its own changes something."""
    return may_change(operation) and operation not in ISSUING


def check_endpoint(endpoint: str) -> bool:
    """Check where passwords will go, and return whether that is this very machine."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    if not isinstance(endpoint, str):
        raise TypeError(f"endpoint: str expected, not {type(endpoint).__name__}")
    try:
        parts = urlsplit(endpoint)
        scheme, host = parts.scheme, parts.hostname or ""
        wrong = not host or parts.port == 0 or "@" in parts.netloc
    except ValueError:
        scheme, host, wrong = "", "", True
    if wrong or any(not "!" <= letter <= "~" or letter == "\\" for letter in endpoint):
        raise ValueError("endpoint: a URL such as https://host/path expected, without user info")
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if scheme != "https" and not (scheme == "http" and loopback):
        raise ValueError("endpoint: https expected (http only on a loopback host)")
    return loopback
