"""Bytes to values and back: what a session file may hold, and what makes it trustworthy. No I/O."""
