"""One request to one response; it is known whether a byte left. Nothing else uses the network."""

from ..errors import unimportable

try:
    import requests  # noqa: F401 - here once, so that one sentence says what is not installed
except ImportError as error:
    raise unimportable("requests", error) from None
