package ollama.grants_test

import data.ollama.grants

local(host, namespace, name, tag) := {
	"host": host, "namespace": namespace, "name": name, "tag": tag, "source": "local",
}

ollama(name, tag) := local("registry.ollama.ai", "library", name, tag)

# Whether a role whose models are `patterns` covers the model.
covers(patterns, ref) if {
	document := {"operation": "chat", "principal": {"roles": ["r"]}, "model_refs": [ref]}
	granted := {"r": {"operations": ["chat"], "models": patterns}}
	grants.model_granted(ref) with input as document with data.ollama.roles as granted
}

test_allow_glob_that_matches if {
	every pattern in ["llama3.2", "llama3.2:latest", "llama3.2:*", "llama3*", "llama*", "*", "**", "*3.2", "l*2"] {
		covers([pattern], ollama("llama3.2", "latest"))
	}
	every pattern in ["llama3.2:1b", "llama3.2:*", "llama3*", "*:1b", "*", "**"] {
		covers([pattern], ollama("llama3.2", "1b"))
	}
}

test_deny_glob_that_does_not_match if {
	every pattern in ["llama3", "llama3.2:1b", "llama3.2:*b", "library/llama3.2", "*/llama3.2", "LLAMA*", "mistral*", ""] {
		not covers([pattern], ollama("llama3.2", "latest"))
	}
	every pattern in ["llama3.2", "llama3.2:latest", "*:latest"] {
		not covers([pattern], ollama("llama3.2", "1b"))
	}
}

# Only "*" is special: what else a glob could mean would be a wider grant than the text shows.
test_deny_other_wildcards if {
	every pattern in ["llama3.?", "llama3.[0-9]", "{llama3.2,mistral}", "ll?ma*", "llama3.[0-9]*"] {
		not covers([pattern], ollama("llama3.2", "latest"))
	}
}

# Whoever may use "llama*" may not use what somebody else has published under such a name.
test_deny_star_across_a_slash if {
	team := local("registry.ollama.ai", "team", "llama3.2", "latest")
	not covers(["llama*"], team)
	not covers(["te*"], team)
	covers(["team/*"], team)
	covers(["*/llama3.2"], team)
	covers(["te**"], team)
	covers(["*"], team)
}

test_allow_model_of_another_host if {
	ref := local("hf.co", "team", "llama3.2", "q4")
	covers(["hf.co/team/llama3.2:q4"], ref)
	covers(["hf.co/**"], ref)
	covers(["*"], ref)
	covers(["hf.co/*/*"], ref)
	not covers(["hf.co/*"], ref)
	not covers(["team/*"], ref)
}

test_deny_namespace_library_of_another_host if {
	not covers(["llama3.2"], local("evil.example", "library", "llama3.2", "latest"))
}

test_deny_models_not_a_list if {
	not covers("*", ollama("llama3.2", "latest"))
	not covers(null, ollama("llama3.2", "latest"))
	not covers([], ollama("llama3.2", "latest"))
	not covers([1, null, {}], ollama("llama3.2", "latest"))
}

test_name_as_people_write_it if {
	grants.model_name(ollama("llama3.2", "latest")) == "llama3.2"
	grants.model_name(ollama("llama3.2", "1b")) == "llama3.2:1b"
	grants.model_name(local("registry.ollama.ai", "team", "m", "latest")) == "team/m"
	grants.model_name(local("hf.co", "team", "m", "q4")) == "hf.co/team/m:q4"
	grants.model_name({}) == "(unnamed)"
}
