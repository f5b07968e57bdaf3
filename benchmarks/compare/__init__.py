"""What an operation costs Hatchery and others, side by side: `python -m benchmarks.compare`."""
