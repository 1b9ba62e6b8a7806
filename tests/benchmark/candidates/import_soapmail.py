"""What a program pays for importing soapmail."""

from soapmail import Client  # noqa: F401
