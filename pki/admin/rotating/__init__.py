"""Campaigns: a fleet led to another issuer or to new keys."""
