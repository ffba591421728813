# METADATA
# title: Roles
# description: The caller's roles, and those that these include, say which operations and models are granted.
# entrypoint: true
# schemas:
#   - input: schema.input
package ollama.authz

import data.ollama.grants

# METADATA
# scope: document
# title: Allow what one role grants as a whole
# description: Operation and models by the same role. A model that runs in the cloud is granted by none.
default allow := false

allow if {
	some role in grants.roles
	grants.grants_operation(role, input.operation)
	input.operation in data.roles.without_model
}

allow if {
	some role in grants.roles
	grants.grants_operation(role, input.operation)
	grants.grants_models(role, input.model_refs)
}

# METADATA
# title: No role is known
# description: A role that data.json does not define grants nothing.
# custom:
#   code: no_role
#   remediation: Put a role of data.json into the token's roles claim.
deny contains {"code": "no_role", "message": "The caller has no role that is defined."} if count(grants.roles) == 0

# METADATA
# title: No role grants the operation
# description: Neither the caller's roles nor those that they include have it.
# custom:
#   code: operation_not_granted
#   remediation: Add the operation to one of the caller's roles in data.json.
deny contains {"code": "operation_not_granted", "message": message} if {
	count(grants.roles) > 0
	every role in grants.roles {
		not grants.grants_operation(role, input.operation)
	}
	message := concat("", [`No role of the caller grants "`, input.operation, `".`])
}

# METADATA
# title: No role that grants the operation grants the models
# description: Operation and models must be granted by the same role.
# custom:
#   code: model_not_granted
#   remediation: Add the model to "models" of a role of the caller's that has the operation.
deny contains {"code": "model_not_granted", "message": message} if {
	not allow
	some role in grants.roles
	grants.grants_operation(role, input.operation)
	message := concat("", [`No role of the caller grants "`, input.operation, `" with this model.`])
}
