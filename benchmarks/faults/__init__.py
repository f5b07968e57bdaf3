"""What is killed, and who looks afterwards whether anything was lost: `python -m benchmarks.faults`."""
