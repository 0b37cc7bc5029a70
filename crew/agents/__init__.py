"""The four roles, each a CrewAI agent."""
