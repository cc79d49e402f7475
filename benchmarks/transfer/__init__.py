"""What it is worth to hand a skill from body to body: see `__main__`."""
