"""One typed task each."""
