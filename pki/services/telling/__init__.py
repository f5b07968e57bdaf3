"""Telling administrators and their systems: of certificates that end, and of what happened."""
