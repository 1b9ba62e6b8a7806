"""The tests of what is due, and of paying it once."""
