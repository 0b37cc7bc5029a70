"""The checkov worker and its trusted client."""
