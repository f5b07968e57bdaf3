"""Other servers that do what Hatchery does, or a part of it, each as a context manager."""
