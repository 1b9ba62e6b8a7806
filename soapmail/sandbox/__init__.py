"""A loopback server with the documented data, or with a recording, to try things out against."""

from .data import PASSWORD, SESSION_ID, USERNAME
from .replay import Replay
from .sandbox import Sandbox, supported_operations

__all__ = ["PASSWORD", "SESSION_ID", "USERNAME", "Replay", "Sandbox", "supported_operations"]
