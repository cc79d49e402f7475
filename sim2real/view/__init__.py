"""What a robot or a trained skill looks like: a viewer in the browser, and films of it."""
