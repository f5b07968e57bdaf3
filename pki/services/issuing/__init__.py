"""The CA: issuers, profiles, and everything that signs certificates."""
