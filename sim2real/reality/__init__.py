"""Realities that no training code can look into, and the rehearsal of a bundle on them."""
