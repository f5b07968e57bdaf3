"""Devices: registered, labelled, seen, rotated."""
