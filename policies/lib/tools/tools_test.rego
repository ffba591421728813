package opallama.lib.tools_test

import data.opallama.lib.tools

permissions := {
	"analyst": {"allow": ["get_*", "search"], "deny": ["get_secret*"]},
	"operator": {"allow": ["*"]},
	"careful": {"deny": ["shell"]},
	"slip": {"allow": ["*"], "deny": "shell"},
	"other": {"allow": ["*"], "denies": ["shell"]},
}

request(roles, names) := {"has_tools": true, "tools": names, "principal": {"roles": roles}}

test_permits_what_a_role_allows_and_none_denies if {
	tools.permits(permissions, ["analyst"], "get_weather")
	tools.permits(permissions, ["x", "operator"], "shell")
	not tools.permits(permissions, ["analyst"], "shell")
	not tools.permits(permissions, ["analyst"], "get_secrets")
	not tools.permits(permissions, ["operator", "careful"], "shell")
	not tools.permits(permissions, ["operator", "analyst"], "get_secret")
	not tools.permits(permissions, ["careful"], "search")
	not tools.permits(permissions, [], "search")
	not tools.permits(permissions, ["x"], "search")
}

test_permits_nothing_by_a_malformed_entry if {
	every role in ["slip", "other"] {
		not tools.permits(permissions, [role], "search")
		not tools.permits(permissions, ["operator", role], "search")
	}
	every malformed in [null, [], {"operator": null}, {"operator": {"allow": []}}, {"operator": {"allow": [1]}}] {
		not tools.permits(malformed, ["operator"], "search")
	}
	not tools.permits(permissions, ["operator"], 1)
	not tools.permits(permissions, "operator", "search")
	not tools.permits(permissions, null, "search")
}

test_permitted_without_tools if {
	tools.permitted(permissions) with input as {"has_tools": false}
}

test_permitted_if_each_is if {
	tools.permitted(permissions) with input as request(["analyst"], ["get_weather", "search"])
	not tools.permitted(permissions) with input as request(["analyst"], ["get_weather", "shell"])
}

test_not_permitted_where_a_member_is_absent if {
	document := request(["analyst"], ["search"])
	every member in ["has_tools", "tools", "principal"] {
		not tools.permitted(permissions) with input as object.remove(document, [member])
	}
	not tools.permitted(permissions) with input as request(["analyst"], [])
	not tools.permitted(permissions) with input as request(["analyst"], "search")
	not tools.permitted(null) with input as {"has_tools": false}
}

test_refused_are_named if {
	tools.refused(permissions) == {"shell"} with input as request(["analyst"], ["search", "shell"])
	tools.refused(permissions) == {"search"} with input as {"has_tools": true, "tools": ["search"]}
	tools.refused(permissions) == set() with input as {"has_tools": false}
}
