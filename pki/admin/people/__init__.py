"""Users, roles, and how they log in."""
