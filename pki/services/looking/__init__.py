"""What the console shows and finds."""
