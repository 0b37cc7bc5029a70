"""Checks of our own that checkov runs on Terraform."""
