"""What Hatchery is made of: sources of the pins (`*.in`), who watches them, and their bill of materials."""
