"""Bare Python."""
