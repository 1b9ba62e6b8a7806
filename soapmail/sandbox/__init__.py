"""A loopback server with the documented data, or with a recording, to try things out against."""

from .data import PASSWORD, SESSION_ID, USERNAME
from .sandbox import Sandbox, imitated

__all__ = ["PASSWORD", "SESSION_ID", "USERNAME", "Sandbox", "imitated"]
