"""One policy for any joints: from what each of them is, it generates a robot's input and output weights."""
