"""A small client for the mail services of InterServer's SOAP API."""

from .client import Client
from .errors import (
    AuthenticationError,
    LossyTextWarning,
    OperationFailed,
    OutcomeUnknown,
    ResponseError,
    SoapFault,
    SoapMailError,
    TransportError,
)
from .models import Invoice, MailService, Order, Prepay, Status

__version__ = "1.0.0"

__all__ = [
    "AuthenticationError",
    "Client",
    "Invoice",
    "LossyTextWarning",
    "MailService",
    "OperationFailed",
    "Order",
    "OutcomeUnknown",
    "Prepay",
    "ResponseError",
    "SoapFault",
    "SoapMailError",
    "Status",
    "TransportError",
    "__version__",
]
