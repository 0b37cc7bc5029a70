"""The controllers: each looks at what is wanted and what is, and takes the next step. They write through Cluster only."""
