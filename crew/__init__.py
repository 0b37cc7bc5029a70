"""Who works, on what, in which order: confined, in its own environment."""
