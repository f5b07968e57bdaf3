"""Issuers, profiles and certificates: looking, issuing, revoking."""
