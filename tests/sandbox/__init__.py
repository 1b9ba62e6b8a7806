"""The tests of the loopback server."""
