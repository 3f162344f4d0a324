"""The screen Configure, the set-up, and what makes a place ready."""
