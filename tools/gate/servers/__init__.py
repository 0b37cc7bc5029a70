"""Other people's MCP servers behind the gate: pinned, confined, their tools mapped to reads and to our verbs."""
