"""A rehearsal GitHub: its REST API and git protocol over a real bare repository, workflows that really run."""
