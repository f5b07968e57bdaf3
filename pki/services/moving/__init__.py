"""Moving in: what somebody has made with OpenSSL becomes Hatchery's."""
