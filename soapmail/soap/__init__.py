"""Values to bytes, bytes to values: a response is whole and right, or an error. No I/O."""

from ..errors import missing_package_error

try:
    import lxml.etree  # noqa: F401 - here once, so that one sentence says what is not installed
except ImportError as error:
    raise missing_package_error("lxml", error) from None
