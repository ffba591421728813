# METADATA
# title: Default policy
# description: >-
#   Decides every request from the caller's roles. What a role may do stands in data.ollama.roles (policies/data.json);
#   how that is read stands in data.ollama.grants. Only allow and deny are here, because every rule of this package is part
#   of the decision.
# entrypoint: true
# schemas:
#   - input: schema.input
package ollama.authz

import data.ollama.grants

# METADATA
# scope: document
# title: Allow what the roles grant
# description: >-
#   One of the caller's roles covers the operation; each model that the request names, and each tool that Ollama would run
#   itself, is covered by a role that covers the operation. Whatever is missing from the input denies.
default allow := false

allow if {
	grants.operation_granted
	grants.models_granted
	grants.server_tools_granted
}

# Each rule below gives the reason for one way in which allow can fail, so a denial always has at least one of them.

# METADATA
# title: The caller has no role
# description: Nothing is granted to a caller without a role.
# custom:
#   code: no_role
#   remediation: Put a role into the token's roles claim, or give anonymous callers one (identity.anonymous.roles).
deny contains {"code": "no_role", "message": message} if {
	not allow
	count(grants.roles) == 0
	count(grants.known) == 0
	message := "The caller has no role, and only roles grant anything."
}

# METADATA
# title: No role of the caller is defined
# description: A role that data.ollama.roles does not define grants nothing.
# custom:
#   code: role_unknown
#   remediation: Define the role in data.json, or give the caller a role that is defined there.
deny contains {"code": "role_unknown", "message": message} if {
	not allow
	count(grants.roles) > 0
	count(grants.known) == 0
	message := concat("", ["No role of the caller is defined in data.ollama.roles: ", grants.role_list, "."])
}

# METADATA
# title: No role covers the operation
# description: Operations that only use what is there must be listed under the role's "operations", or covered by "*" there.
# custom:
#   code: operation_not_allowed
#   remediation: Add the operation to "operations" of one of the caller's roles in data.json.
deny contains {"code": "operation_not_allowed", "message": message} if {
	not allow
	count(grants.known) > 0
	not grants.operation_granted
	grants.uses
	message := concat("", [
		`No role of the caller (`, grants.role_list,
		`) lists the operation "`, input.operation, `" under "operations".`,
	])
}

# METADATA
# title: No role names the management operation
# description: >-
#   Operations that change the upstream, and those that this policy does not know, must be named under the role's
#   "management"; a "*" never covers them.
# custom:
#   code: management_not_allowed
#   remediation: Name the operation under "management" of one of the caller's roles in data.json.
deny contains {"code": "management_not_allowed", "message": message} if {
	not allow
	count(grants.known) > 0
	not grants.operation_granted
	not grants.uses
	message := concat("", [
		`The operation "`, grants.operation_name, `" manages the upstream, and no role of the caller (`,
		grants.role_list, `) names it under "management".`,
	])
}

# METADATA
# title: The request names no model
# description: An operation that works on a model is denied where the input does not say on which.
# custom:
#   code: model_missing
#   remediation: Name the model in the request.
deny contains {"code": "model_missing", "message": message} if {
	not allow
	grants.operation_granted
	not grants.names_models
	message := concat("", [`The operation "`, input.operation, `" needs a model, and the request names none.`])
}

# METADATA
# title: No role covers the model
# description: Each model that the request names must match a glob under "models" of a role that covers the operation.
# custom:
#   code: model_not_allowed
#   remediation: Add the model, or a glob that matches it, to "models" of one of the caller's roles in data.json.
deny contains {"code": "model_not_allowed", "message": message} if {
	not allow
	grants.operation_granted
	some ref in input.model_refs
	not grants.model_granted(ref)
	not ref.source == "cloud"
	message := concat("", [
		`No role of the caller (`, grants.role_list, `) that may "`, input.operation,
		`" lists the model "`, grants.model_name(ref), `" under "models".`,
	])
}

# METADATA
# title: No role names the cloud model
# description: >-
#   A cloud model sends what it is asked to another machine. It must match a glob under "cloud_models" of a role that covers
#   the operation; "models" never covers it.
# custom:
#   code: cloud_model_not_allowed
#   remediation: Use a local model, or add this one to "cloud_models" of one of the caller's roles in data.json.
deny contains {"code": "cloud_model_not_allowed", "message": message} if {
	not allow
	grants.operation_granted
	some ref in input.model_refs
	not grants.model_granted(ref)
	ref.source == "cloud"
	message := concat("", [
		`The model "`, grants.model_name(ref), `" runs in the cloud, and no role of the caller (`, grants.role_list,
		`) that may "`, input.operation, `" lists it under "cloud_models".`,
	])
}

# METADATA
# title: No role names the tool that Ollama runs itself
# description: >-
#   Such a tool makes Ollama ask the network, with words that the model chose of what it was told. It must be named under
#   "server_tools" of a role that covers the operation; a "*" there covers none.
# custom:
#   code: server_tool_not_allowed
#   remediation: Leave the tool out, or name it under "server_tools" of one of the caller's roles in data.json.
deny contains {"code": "server_tool_not_allowed", "message": message} if {
	not allow
	grants.operation_granted
	some tool in input.server_tools
	not grants.server_tool_granted(tool)
	message := concat("", [
		`Ollama itself runs the tool "`, grants.tool_name(tool), `" and asks the network for it, and no role of the caller (`,
		grants.role_list, `) that may "`, input.operation, `" names it under "server_tools".`,
	])
}

# METADATA
# title: The input does not say which tools Ollama runs itself
# description: A chat may bring some, so one that leaves it open is denied.
# custom:
#   code: server_tools_missing
#   remediation: Where the input is written by hand, add "server_tools", an empty array if there are none.
deny contains {"code": "server_tools_missing", "message": message} if {
	not allow
	grants.operation_granted
	not grants.server_tools_granted
	not grants.lists_server_tools
	message := "The input has no array \"server_tools\", so that nobody knows which tools Ollama would run itself."
}
