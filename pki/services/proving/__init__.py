"""Who is at the other end, and whether it may come in: handshakes, records, proxies."""
