# METADATA
# title: Tools
# description: >-
#   Which tools a role may bring: {"analyst": {"allow": ["get_*"], "deny": ["get_secret"]}}, by globs in which "*" stands for
#   any text. A tool is permitted if one of the caller's roles allows it and none denies it. Nothing is permitted to a caller
#   for one of whose roles the entry is malformed: a slip in "deny" must not open what it meant to close.
package opallama.lib.tools

import data.opallama.lib.globs

# METADATA
# scope: document
# title: The request brings no tools, or only such as the caller may bring
# description: Reads has_tools, tools and principal of the input. A request that does not say whether it brings tools is not permitted.
permitted(permissions) if {
	input.has_tools == false
	is_object(permissions)
}

permitted(permissions) if {
	input.has_tools == true
	is_array(input.tools)
	count(input.tools) > 0
	every name in input.tools {
		permits(permissions, input.principal.roles, name)
	}
}

# METADATA
# title: The tools of the request that the caller may not bring
# description: For the text of a denial, and never as its only ground, since it is empty where the input has no tools.
refused(permissions) := {name |
	some name in input.tools
	not _permits(permissions, name)
}

# METADATA
# title: One of the roles allows the tool and none denies it
permits(permissions, roles, name) if {
	is_string(name)
	every role in roles {
		_well_formed(object.get(permissions, role, {}))
	}
	some role in roles
	globs.matches_any(permissions[role].allow, name)
	not _denies(permissions, roles, name)
}

# A rule of its own, because OPA looks input.principal.roles up before it negates what is said of it.
_permits(permissions, name) if permits(permissions, input.principal.roles, name)

_denies(permissions, roles, name) if {
	some role in roles
	globs.matches_any(permissions[role].deny, name)
}

_well_formed(entry) if {
	is_object(entry)
	every list, patterns in entry {
		list in {"allow", "deny"}
		globs.well_formed(patterns)
	}
}
