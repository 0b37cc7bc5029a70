"""Verifies, submits, reads back; holds the only credentials."""
