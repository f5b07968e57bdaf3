"""Numbers about this server, for who watches it: counted where something happens, told at /metrics."""
