"""What managing the rules of a listener costs, and what the listener's clients notice: see `__main__`."""
