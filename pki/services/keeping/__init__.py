"""Keeping an installation: the passphrase of its keys, backups, and what comes back from one."""
