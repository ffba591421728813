# METADATA
# title: Hours
# description: Local models may be used in the windows of time that data.json lists, by some roles at any time.
# entrypoint: true
# schemas:
#   - input: schema.input
package ollama.authz

import data.opallama.lib.hours
import data.opallama.lib.models
import data.opallama.lib.roles

# METADATA
# scope: document
# title: Allow within hours
# description: Or at any time, to roles that are exempt.
default allow := false

allow if input.operation in data.hours.always

allow if {
	input.operation in data.hours.within
	models.all_local(input.model_refs)
	hours.within_any(input.now_ns, data.hours.windows)
}

allow if {
	input.operation in data.hours.within
	models.all_local(input.model_refs)
	roles.any_of(input.principal, data.hours.exempt_roles)
}

# METADATA
# title: Outside of the hours
# description: None of the windows holds the time of the request.
# custom:
#   code: outside_hours
#   remediation: Come back within the windows of data.json, or ask with a role that is exempt.
deny contains {"code": "outside_hours", "message": "Models may not be used at this time."} if {
	not allow
	input.operation in data.hours.within
	not hours.within_any(input.now_ns, data.hours.windows)
}

# METADATA
# title: The operation is not listed
# description: What no list of data.json names is denied.
# custom:
#   code: operation_not_listed
#   remediation: Add the operation to "always" or "within" in data.json.
deny contains {"code": "operation_not_listed", "message": message} if {
	not input.operation in array.concat(data.hours.always, data.hours.within)
	message := concat("", [`The operation "`, input.operation, `" is not listed.`])
}
