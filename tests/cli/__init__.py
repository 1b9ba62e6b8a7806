"""The tests of the command."""
