"""The dynamic map between two closed loops: what to command one robot so that it follows what another one did.

Helwa and Schoellig, "Multi-Robot Transfer Learning: A Dynamical System Perspective" (2017, arXiv:1707.08689): between
robots that lag and swing differently the best map is a dynamic system, not a gain. It runs on a robot's computer:
numpy alone.
"""
