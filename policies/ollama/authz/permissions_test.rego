# Permissions of the token, which data.ollama.permissions gives a meaning: none in the shipped data.json.
package ollama.authz_permissions_test

import data.ollama.authz
import data.ollama.authz_test

permissions := {
	"web:read": {"operations": ["root", "version", "models.list"]},
	"web:write": {"operations": ["chat"], "models": ["llama3*"], "server_tools": ["web_search"]},
	"web:keep": {"management": ["models.delete"], "models": ["*"], "cloud_models": ["*"]},
}

request(roles, held, operation, refs) := object.union(
	authz_test.request(roles, operation, refs),
	{"principal": {"id": "a", "kind": "jwt", "roles": roles, "permissions": held, "claims": {}}},
)

decision(document) := result if {
	result := authz with input as document
		with data.ollama.roles as authz_test.roles
		with data.ollama.permissions as permissions
}

codes(document) := {reason.code | some reason in decision(document).deny}

test_allow_what_a_permission_covers if {
	every document in [
		request([], ["web:read"], "models.list", []),
		request([], ["other", "web:write"], "chat", [authz_test.llama]),
		request([], ["web:keep"], "models.delete", [authz_test.cloud]),
		object.union(request([], ["web:write"], "chat", [authz_test.llama]), {"server_tools": ["web_search"]}),
		request(["nobody"], ["web:read"], "models.list", []),
		request(["reader"], ["web:write"], "chat", [authz_test.llama]),
	] {
		decision(document) == authz_test.allowed
	}
}

test_deny_what_it_does_not_cover if {
	codes(request([], ["web:read"], "chat", [authz_test.llama])) == {"operation_not_allowed"}
	codes(request([], ["web:write"], "chat", [authz_test.mistral])) == {"model_not_allowed"}
	codes(request([], ["web:write"], "chat", [authz_test.cloud])) == {"cloud_model_not_allowed"}
	codes(request([], ["web:write"], "models.delete", [authz_test.llama])) == {"management_not_allowed"}
	read := object.union(request([], ["web:read"], "models.list", []), {"server_tools": ["web_search"]})
	codes(read) == {"server_tool_not_allowed"}
}

# A role's operation doesn't combine with a permission's models.
test_deny_model_of_a_permission_without_the_operation if {
	codes(request(["chatter"], ["web:keep"], "chat", [authz_test.cloud])) == {"cloud_model_not_allowed"}
}

test_deny_says_what_the_caller_holds if {
	decision(request(["reader"], ["web:read", "unknown"], "chat", [authz_test.llama])).deny == {{
		"code": "operation_not_allowed",
		"message": `No role of the caller (reader, web:read) lists the operation "chat" under "operations".`,
	}}
}

test_deny_permission_that_means_nothing if {
	codes(request([], ["unknown", null, 1], "root", [])) == {"no_role"}
	codes(request(["nobody"], ["unknown"], "root", [])) == {"role_unknown"}
	codes(request([], "web:read", "root", [])) == {"no_role"}
	codes(json.remove(request([], [], "root", []), ["principal/permissions"])) == {"no_role"}
}

test_deny_where_permissions_have_no_meaning if {
	document := request([], ["web:read", "web:write"], "chat", [authz_test.llama])
	result := authz with input as document with data.ollama.roles as authz_test.roles with data.ollama.permissions as {}
	result == authz_test.denied("no_role", "The caller has no role, and only roles grant anything.")
}
