# METADATA
# title: Permissions
# description: >-
#   Questions about the permissions of a principal, as input.principal has it: what the token says that it is good for,
#   beside the roles of whoever holds it. They grant operations; which models, tools and callers, other rules say. A
#   principal without permissions has none of any.
package opallama.lib.permissions

# METADATA
# title: Operations that only read
# description: What is there, never what anybody wrote, and nothing that a model has to work for.
reading := {"root", "version", "status", "models.list", "models.show", "models.ps"}

# METADATA
# title: Operations that let a model work
generating := {"chat", "generate", "embed"}

# METADATA
# title: The usual permissions
# description: Management is in none of them. A policy that means something else by these names hands its own to granted_by.
usual := {"web:read": reading, "web:write": generating}

# METADATA
# title: One of the principal's permissions grants the operation, by the usual meanings
granted(principal, operation) if granted_by(usual, principal, operation)

# METADATA
# title: One of the principal's permissions grants the operation
# description: '"meanings" says of a permission which operations it grants, as a list or a set: {"web:read": ["models.list"]}.'
granted_by(meanings, principal, operation) if {
	is_string(operation)
	some permission in principal.permissions
	is_string(permission)
	operation in meanings[permission]
}

# METADATA
# title: The usual permissions that grant the operation
# description: For the text of a denial; none for an operation of management.
needed(operation) := {permission |
	some permission, operations in usual
	operation in operations
}
