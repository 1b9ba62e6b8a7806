"""The command: everything a mail customer does, without writing Python."""

from .main import main

__all__ = ["main"]
