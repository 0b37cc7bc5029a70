"""A rehearsal GitHub and a rehearsal cluster."""
