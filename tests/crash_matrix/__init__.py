"""Rotations on real servers, killed by SIGKILL at each call that they make, and what is there after the next run."""
