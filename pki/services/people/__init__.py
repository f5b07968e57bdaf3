"""Administrators: how they log in, and how their forms are answered once."""
