"""What the commands do: one module a command, each with the function that a stage calls."""
