"""The audit trail made provable: sealed into a chain of hashes, signed, exported and sent elsewhere."""
