"""Devices, their groups and their tokens."""
