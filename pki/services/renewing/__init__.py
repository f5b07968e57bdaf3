"""How devices renew their certificates by themselves."""
