# METADATA
# title: Tools
# description: Requests may bring the tools that data.json permits to the caller's roles, and any local model.
# entrypoint: true
# schemas:
#   - input: schema.input
package ollama.authz

import data.opallama.lib.models
import data.opallama.lib.tools

# METADATA
# scope: document
# title: Allow requests without tools, and with those that are permitted
# description: Tools for which Ollama itself asks the network are permitted to nobody.
default allow := false

allow if input.operation in data.tools.without_prompt

allow if {
	input.operation in data.tools.with_prompt
	models.all_local(input.model_refs)
	input.server_tools == []
	tools.permitted(data.tools.permissions)
}

# METADATA
# title: The operation is not listed
# description: What no list of data.json names is denied.
# custom:
#   code: operation_not_listed
#   remediation: Add the operation to "without_prompt" or "with_prompt" in data.json.
deny contains {"code": "operation_not_listed", "message": message} if {
	not input.operation in array.concat(data.tools.without_prompt, data.tools.with_prompt)
	message := concat("", [`The operation "`, input.operation, `" is not listed.`])
}

# METADATA
# title: A tool is not permitted
# description: One tool that is not permitted denies the request.
# custom:
#   code: tool_not_permitted
#   remediation: Permit the tool to one of the caller's roles in data.json, or send the request without it.
deny contains {"code": "tool_not_permitted", "message": message} if {
	input.operation in data.tools.with_prompt
	some name in tools.refused(data.tools.permissions)
	message := concat("", [`The tool "`, name, `" is not permitted to the caller.`])
}

# METADATA
# title: A tool of the server's own
# description: Ollama would run it, and ask the network for it.
# custom:
#   code: server_tool
#   remediation: Leave out tools such as web_search, which Ollama itself runs.
deny contains {"code": "server_tool", "message": message} if {
	some name in input.server_tools
	message := concat("", [`The tool "`, name, `" is run by the server, which nobody may ask for.`])
}
