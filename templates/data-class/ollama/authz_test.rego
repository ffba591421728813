package ollama.authz_test

import data.ollama.authz

classes := {
	"without_prompt": ["version"],
	"with_prompt": ["chat"],
	"unlabelled": "secret",
	"classes": {
		"public": {"models": ["*"], "cloud": true},
		"secret": {"models": ["llama3.2"], "cloud": false},
	},
}

model(name, source) := {
	"raw": name, "host": "registry.ollama.ai", "namespace": "library",
	"name": name, "tag": "latest", "source": source, "part": "model",
}

chat(cleared, ref) := {
	"operation": "chat", "model_refs": [ref],
	"principal": {"claims": {"data_classes": cleared}},
}

labelled(class, cleared, ref) := object.union(chat(cleared, ref), {"metadata": {"data_class": class}})

codes(given) := {reason.code | some reason in authz.deny with input as given with data.data_class as classes}

allowed(given) if authz.allow with input as given with data.data_class as classes

test_allow_what_needs_no_prompt if allowed({"operation": "version"})

test_allow_a_model_of_the_class if {
	allowed(labelled("secret", ["secret"], model("llama3.2", "local")))
	allowed(labelled("public", ["public"], model("mistral", "local")))
	codes(labelled("secret", ["secret"], model("llama3.2", "local"))) == set()
}

test_allow_the_cloud_only_where_the_class_may_leave if {
	allowed(labelled("public", ["public"], model("gpt-oss", "cloud")))
	not allowed(labelled("secret", ["secret"], model("llama3.2", "cloud")))
}

test_deny_a_model_that_is_not_for_the_class if {
	given := labelled("secret", ["public", "secret"], model("mistral", "local"))
	not allowed(given)
	codes(given) == {"model_not_for_class"}
}

test_deny_a_class_that_the_caller_does_not_handle if {
	given := labelled("secret", ["public"], model("llama3.2", "local"))
	not allowed(given)
	codes(given) == {"class_not_cleared"}
}

test_unlabelled_data_is_of_the_strictest_class if {
	allowed(chat(["secret"], model("llama3.2", "local")))
	codes(chat(["public"], model("llama3.2", "local"))) == {"class_not_cleared"}
	codes(labelled(7, ["public"], model("llama3.2", "local"))) == {"class_not_cleared"}
}

test_deny_a_class_that_is_not_defined if not allowed(labelled("x", ["x"], model("llama3.2", "local")))

test_deny_an_operation_that_is_not_listed if {
	not allowed({"operation": "models.pull"})
	codes({"operation": "models.pull"}) == {"operation_not_listed"}
}

# What is missing must not open a door.
test_deny_where_something_is_missing if {
	given := labelled("public", ["public"], model("mistral", "local"))
	every member in ["operation", "model_refs", "principal"] {
		not allowed(object.remove(given, [member]))
	}
}
