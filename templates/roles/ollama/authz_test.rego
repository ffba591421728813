package ollama.authz_test

import data.ollama.authz

# Roles of the tests' own: data.json may change without them.
roles := {
	"without_model": ["version"],
	"includes": {"lead": ["member"]},
	"grants": {
		"member": {"operations": ["version", "chat"], "models": ["llama3*"]},
		"lead": {"operations": ["embed"], "models": ["*"]},
	},
}

model(name, source) := {
	"raw": name, "host": "registry.ollama.ai", "namespace": "library",
	"name": name, "tag": "latest", "source": source, "part": "model",
}

asks(names, operation, refs) := {"principal": {"roles": names}, "operation": operation, "model_refs": refs}

codes(given) := {reason.code | some reason in authz.deny with input as given with data.roles as roles}

allowed(given) if authz.allow with input as given with data.roles as roles

test_allow_what_a_role_grants if {
	allowed({"principal": {"roles": ["member"]}, "operation": "version"})
	allowed(asks(["member"], "chat", [model("llama3.2", "local")]))
	codes(asks(["member"], "chat", [model("llama3.2", "local")])) == set()
}

test_allow_what_an_included_role_grants if allowed(asks(["lead"], "chat", [model("llama3.2", "local")]))

test_deny_without_a_role_that_is_defined if {
	every names in [[], ["stranger"]] {
		not allowed(asks(names, "chat", [model("llama3.2", "local")]))
		codes(asks(names, "chat", [model("llama3.2", "local")])) == {"no_role"}
	}
}

test_deny_an_operation_that_no_role_grants if {
	not allowed(asks(["member"], "embed", [model("llama3.2", "local")]))
	codes(asks(["member"], "embed", [model("llama3.2", "local")])) == {"operation_not_granted"}
}

# "lead" has every model and "member" has chat; neither has both.
test_deny_a_model_that_the_role_with_the_operation_does_not_grant if {
	not allowed(asks(["lead"], "chat", [model("mistral", "local")]))
	codes(asks(["lead"], "chat", [model("mistral", "local")])) == {"model_not_granted"}
}

test_deny_a_model_in_the_cloud if not allowed(asks(["lead"], "embed", [model("gpt-oss", "cloud")]))

# What is missing must not open a door.
test_deny_without_principal_operation_or_model if {
	not allowed({"operation": "version"})
	not allowed({"principal": {"roles": ["member"]}})
	not allowed({"principal": {"roles": ["member"]}, "operation": "chat"})
	not allowed(asks(["member"], "chat", []))
}
