"""Generated weights beside attention-pooled tokens: see `__main__`."""
