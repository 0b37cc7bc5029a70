"""Judges a change and signs it; holds the signing key."""
