"""The tests of bytes to values, and values to bytes."""
