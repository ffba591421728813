# METADATA
# title: Roles
# description: Questions about the roles of a principal, as input.principal has it. A principal without roles has none of any.
package opallama.lib.roles

# METADATA
# title: The principal has one of the roles
# description: '"names" is a list or a set of roles.'
any_of(principal, names) if {
	some role in principal.roles
	is_string(role)
	role in names
}

# METADATA
# title: The principal has each of the roles
# description: Of at least one.
all_of(principal, names) if {
	count(names) > 0
	every name in names {
		is_string(name)
		name in principal.roles
	}
}

# METADATA
# scope: document
# title: The principal's roles, and those that these include
# description: >-
#   "includes" says of a role which others it includes, as {"admin": ["developer"], "developer": ["analyst"]}; these again
#   may include others, also in a circle. None at all where it is malformed.
default effective(_, _) := set()

effective(principal, includes) := graph.reachable(edges, own) if {
	_well_formed(includes)
	own := {role | some role in principal.roles; is_string(role)}
	known := (own | object.keys(includes)) | {name | some names in includes; some name in names}
	edges := {role: object.get(includes, role, []) | some role in known}
}

_well_formed(includes) if {
	is_object(includes)
	every names in includes {
		is_array(names)
		every name in names {
			is_string(name)
		}
	}
}
