"""Enrollment requests."""
