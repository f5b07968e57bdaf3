"""Rotation on purpose: of one device's key, and of a fleet's issuer or keys by a campaign."""
