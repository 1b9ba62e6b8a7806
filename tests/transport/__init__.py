"""The tests of one request to one response."""
