"""Hands: every way to touch anything outside."""
