"""What becomes of a CSR that a device posts: the registration authority."""
