# These tests judge data.json itself: a slip there stops the start, and doesn't wait for somebody to be refused.
package ollama.roles_test

import data.ollama.grants

# Permissions have the form of roles.
roles contains role if some role in data.ollama.roles

roles contains permission if some permission in data.ollama.permissions

members := {"operations", "models", "cloud_models", "server_tools", "management"}

test_roles_have_known_members_only if {
	every role in roles {
		object.keys(role) & members == object.keys(role)
	}
}

test_roles_have_lists_of_text if {
	every role in roles {
		every list in role {
			is_array(list)
			every item in list {
				is_string(item)
			}
		}
	}
}

test_operations_are_known if {
	every role in roles {
		every operation in object.get(role, "operations", []) {
			operation in (grants.use_operations | {"*"})
		}
	}
}

# A "*" there would cover nothing, and an operation that only uses what is there belongs under "operations".
test_management_is_named if {
	every role in roles {
		every operation in object.get(role, "management", []) {
			not operation in (grants.use_operations | {"*"})
		}
	}
}

# Model names are compared in lower case, and of globs only "*" is special.
test_models_are_globs_that_can_match if {
	every role in roles {
		every pattern in array.concat(object.get(role, "models", []), object.get(role, "cloud_models", [])) {
			regex.match(`^[a-z0-9._:/*-]+$`, pattern)
		}
	}
}

# Each by its name: a "*" would cover nothing.
test_server_tools_are_named if {
	every role in roles {
		not "*" in object.get(role, "server_tools", [])
	}
}
