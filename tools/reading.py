"""Read tools of a target."""

from tools.tool import Tool as ReadTool

__all__ = ["ReadTool"]
