"""The gate's Kubernetes."""
