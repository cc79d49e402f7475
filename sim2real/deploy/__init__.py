"""Running a bundle on a robot, guarded; needs neither torch nor Ray."""
