"""Handing a skill to another robot, and measuring what that saved."""
