"""Tests against a real server: PHP's own."""
