"""The gate over HTTP, for MCP clients that are not our crew: a bearer per role, and a way to propose a change."""
