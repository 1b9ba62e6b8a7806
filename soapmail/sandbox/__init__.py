"""A loopback server with the documented data, or with a recording, to try things out against."""

from .data import PASSWORD, SESSION_ID, USERNAME
from .sandbox import Sandbox, list_operations
from .server import Replay

__all__ = ["PASSWORD", "SESSION_ID", "USERNAME", "Replay", "Sandbox", "list_operations"]
