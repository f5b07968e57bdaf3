"""Revoking certificates, and what that stops."""
