# METADATA
# title: Grants
# description: >-
#   What data.roles says of a role. A package of its own, because every rule of ollama.authz is part of the decision.
# schemas:
#   - input: schema.input
package ollama.grants

import data.opallama.lib.models
import data.opallama.lib.roles as lib

# METADATA
# title: The caller's roles and those that these include, as far as they are defined
roles := {role |
	some role in lib.effective(input.principal, data.roles.includes)
	data.roles.grants[role]
}

# METADATA
# title: The role has the operation
grants_operation(role, operation) if operation in data.roles.grants[role].operations

# METADATA
# title: The role has each of the models, all of which run here
grants_models(role, refs) if {
	models.all_local(refs)
	models.all_match(data.roles.grants[role].models, refs)
}
