"""What a run survives: kill -9 at every write, throttling, other runs."""
