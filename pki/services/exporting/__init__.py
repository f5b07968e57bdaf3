"""Files for clients: certificates, what to trust, pins; and with a key, which its owner brings along."""
