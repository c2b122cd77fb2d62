"""What the services of one vendor have in common."""
