"""The crew's own MCP server: knowledge, blueprints, previews."""
