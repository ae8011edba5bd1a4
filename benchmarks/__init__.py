"""What a turn, an open, a list and a start cost, beside what they would cost without us."""
