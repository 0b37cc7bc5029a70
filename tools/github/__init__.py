"""The gate's GitHub."""
