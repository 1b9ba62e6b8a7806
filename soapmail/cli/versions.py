"""The versions of what a command runs on, for a report of a bug."""

from __future__ import annotations

import platform
import ssl
from importlib import import_module
from typing import Any

from .. import __version__


def list_versions() -> list[str]:
    """Return a line for soapmail, Python, each package, and the system."""
    return [
        f"soapmail {__version__}",
        f"{platform.python_implementation()} {platform.python_version()}",
        _describe_package("requests"),
        _describe_package("urllib3"),
        _describe_package("lxml"),
        _describe_libxml(),
        ssl.OPENSSL_VERSION,
        platform.platform(),
    ]


def _describe_package(name: str) -> str:
    try:
        package: Any = import_module(name)
    except ImportError:
        return f"{name} is not installed"
    return f"{name} {getattr(package, '__version__', 'of no known version')}"


def _describe_libxml() -> str:
    try:
        from lxml import etree
    except ImportError:
        return "libxml2 is not installed"
    return f"libxml2 {'.'.join(map(str, etree.LIBXML_VERSION))}"
