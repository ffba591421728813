package ollama.authz_test

import data.ollama.authz

# Lists of the tests' own: data.json may change without them.
allow_list := {
	"without_model": ["version"],
	"with_model": ["chat"],
	"models": ["llama3.2", "llama3.2:*"],
}

model(name, tag, source) := {
	"raw": name, "host": "registry.ollama.ai", "namespace": "library",
	"name": name, "tag": tag, "source": source, "part": "model",
}

chat(refs) := {"operation": "chat", "model_refs": refs}

codes(given) := {reason.code | some reason in authz.deny with input as given with data.allow_list as allow_list}

allowed(given) if authz.allow with input as given with data.allow_list as allow_list

test_allow_an_operation_without_model if allowed({"operation": "version"})

test_allow_a_model_that_is_listed if {
	allowed(chat([model("llama3.2", "latest", "local")]))
	allowed(chat([model("llama3.2", "1b", "local")]))
	codes(chat([model("llama3.2", "1b", "local")])) == set()
}

test_deny_an_operation_that_is_not_listed if {
	not allowed({"operation": "models.pull"})
	codes({"operation": "models.pull"}) == {"operation_not_listed"}
}

test_deny_a_model_that_is_not_listed if {
	given := chat([model("llama3.2", "latest", "local"), model("mistral", "latest", "local")])
	not allowed(given)
	codes(given) == {"model_not_listed"}
}

test_deny_a_model_in_the_cloud if {
	given := chat([model("llama3.2", "latest", "cloud")])
	not allowed(given)
	codes(given) == {"cloud_model"}
}

# What is missing must not open a door.
test_deny_without_model_or_operation if {
	not allowed({"operation": "chat"})
	not allowed(chat([]))
	not allowed({})
}
