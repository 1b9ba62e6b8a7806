"""One request to one response; it is known whether a byte left. Nothing else uses the network."""

from ..errors import missing_package_error

try:
    import requests  # noqa: F401 - here once, so that one sentence says what is not installed
except ImportError as error:
    raise missing_package_error("requests", error) from None

from .delivery import Delivery, Response
from .failures import describe_status
from .transport import Outgoing, Transport

__all__ = ["Delivery", "Outgoing", "Response", "Transport", "describe_status"]
