"""What relying parties are told of revocations: CRLs and OCSP."""
