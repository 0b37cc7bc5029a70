"""Span names and attribute keys: the GenAI and MCP conventions of OpenTelemetry, and our own.

The `gen_ai.*` and `mcp.*` constants of the Python package are deprecated, so the strings stand here.
Attributes hold digests, names, verdicts, denial reasons and counts, never contents or secrets.
"""

from typing import Final

RUN: Final = "invoke_workflow countersign"
AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
RETRIEVAL: Final = "retrieval"
MCP_CALL: Final = "tools/call"
POLICY_SCAN: Final = "policy.scan"
SIGNOFF_SIGN: Final = "signoff.sign"
GATE_ADMIT: Final = "gate.admit"
GATE_SUBMIT: Final = "gate.submit"

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
AGENT_NAME: Final = "gen_ai.agent.name"
TOOL_NAME: Final = "gen_ai.tool.name"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
MCP_METHOD: Final = "mcp.method.name"

RUN_ID: Final = "countersign.run_id"
PHASE: Final = "countersign.phase"
ROLE: Final = "countersign.role"
ROUND: Final = "countersign.round"
CHANGE_ID: Final = "countersign.change_id"
CHANGE_DIGEST: Final = "countersign.change.digest"
SIGNOFF_DIGEST: Final = "countersign.signoff.digest"
GRANT_SEQ: Final = "countersign.grant.seq"
GRANT_NAME: Final = "countersign.grant.name"
VERDICT: Final = "countersign.verdict"
DENIAL: Final = "countersign.denial"
OTHER_SERVER: Final = "countersign.server"
FINDINGS: Final = "countersign.findings"
BLOCKING: Final = "countersign.blocking"
