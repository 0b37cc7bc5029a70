"""GitHub Actions, rehearsed: workflows are read, dispatched, and their steps really run, confined."""
