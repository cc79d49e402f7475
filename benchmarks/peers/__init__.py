"""HalfCheetah-v5 as others step it: each peer is a script of its own, run by an interpreter of its own.

A script, ours apart, imports nothing of this project. It says "ready" with its processes, then answers every line "N"
on its input with the environment steps it took, N or a few more, and the seconds they took (`serve`). `process` makes
the virtual environment a peer needs, starts it and talks to it.
"""
