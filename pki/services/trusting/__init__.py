"""What devices are told to trust, now and next."""
