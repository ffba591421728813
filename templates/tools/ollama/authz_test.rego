package ollama.authz_test

import data.ollama.authz

lists := {
	"without_prompt": ["version"],
	"with_prompt": ["chat"],
	"permissions": {"analyst": {"allow": ["get_*"], "deny": ["get_secret"]}},
}

local := [{"raw": "llama3.2", "name": "llama3.2", "source": "local", "part": "model"}]

chat := {
	"operation": "chat", "model_refs": local, "principal": {"roles": ["analyst"]},
	"has_tools": false, "server_tools": [],
}

bringing(names) := object.union(chat, {"has_tools": true, "tools": names})

codes(given) := {reason.code | some reason in authz.deny with input as given with data.tools as lists}

allowed(given) if authz.allow with input as given with data.tools as lists

test_allow_without_tools if allowed(chat)

test_allow_what_needs_no_prompt if allowed({"operation": "version"})

test_allow_tools_that_are_permitted if {
	allowed(bringing(["get_weather", "get_time"]))
	codes(bringing(["get_weather"])) == set()
}

test_deny_one_tool_that_is_not_permitted if {
	every name in ["get_secret", "run_shell"] {
		not allowed(bringing(["get_weather", name]))
		codes(bringing(["get_weather", name])) == {"tool_not_permitted"}
	}
}

test_deny_a_tool_of_the_server if {
	given := object.union(chat, {"server_tools": ["web_search"]})
	not allowed(given)
	codes(given) == {"server_tool"}
}

test_deny_an_operation_that_is_not_listed if {
	not allowed({"operation": "models.pull"})
	codes({"operation": "models.pull"}) == {"operation_not_listed"}
}

test_deny_a_model_in_the_cloud if {
	not allowed(object.union(chat, {"model_refs": [{"raw": "x:cloud", "name": "x", "source": "cloud"}]}))
}

# What is missing must not open a door.
test_deny_where_something_is_missing if {
	every member in ["operation", "model_refs", "has_tools", "server_tools"] {
		not allowed(object.remove(chat, [member]))
	}
	not allowed(object.remove(bringing(["get_weather"]), ["tools"]))
	not allowed(object.remove(bringing(["get_weather"]), ["principal"]))
}
