"""What administrators and their systems were told of: notices, webhooks, and what arrived."""
