"""The worker that parses and judges foreign bytes, and its trusted client."""
