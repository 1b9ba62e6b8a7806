"""The command: everything a mail customer does, without writing Python."""

from .program import main

__all__ = ["main"]
