package opallama.lib.models_test

import data.opallama.lib.models

local(host, namespace, name, tag) := {
	"host": host, "namespace": namespace, "name": name, "tag": tag, "source": "local",
}

ollama(name, tag) := local("registry.ollama.ai", "library", name, tag)

llama := ollama("llama3.2", "latest")

test_name_as_people_write_it if {
	models.name(llama) == "llama3.2"
	models.tagged(llama) == "llama3.2:latest"
	models.name(ollama("llama3.2", "1b")) == "llama3.2:1b"
	models.name(local("registry.ollama.ai", "team", "m", "latest")) == "team/m"
	models.name(local("hf.co", "team", "m", "q4")) == "hf.co/team/m:q4"
	models.name({}) == "(unnamed)"
	models.name(null) == "(unnamed)"
}

test_matches_globs if {
	every pattern in ["llama3.2", "llama3.2:latest", "llama3.2:*", "llama3*", "*", "**", "*3.2", "l*2"] {
		models.matches([pattern], llama)
	}
	every pattern in ["llama3", "llama3.2:1b", "*/llama3.2", "LLAMA*", "mistral*", "", "llama3.?", "llama3.[0-9]*"] {
		not models.matches([pattern], llama)
	}
	models.matches(["x", "llama3.2:1b"], ollama("llama3.2", "1b"))
	not models.matches(["llama3.2"], ollama("llama3.2", "1b"))
}

test_matches_no_model_of_somebody_else_by_a_star if {
	team := local("registry.ollama.ai", "team", "llama3.2", "latest")
	not models.matches(["llama*"], team)
	models.matches(["team/*"], team)
	models.matches(["*"], team)
	not models.matches(["llama3.2"], local("evil.example", "library", "llama3.2", "latest"))
	models.matches(["hf.co/**"], local("hf.co", "team", "m", "q4"))
}

test_matches_nothing_malformed if {
	every patterns in [null, "*", "llama3.2", [], [1, null, {}], {}] {
		not models.matches(patterns, llama)
	}
	every ref in [null, {}, "llama3.2", object.remove(llama, ["tag"]), object.remove(llama, ["host"])] {
		not models.matches(["*"], ref)
		not models.matches(["**"], object.remove(llama, ["name"]))
	}
}

test_all_match_each_of_at_least_one if {
	models.all_match(["llama*", "mistral"], [llama, ollama("mistral", "latest")])
	not models.all_match(["llama*"], [llama, ollama("mistral", "latest")])
	every refs in [[], null, {}, {"a": llama}, "llama3.2"] {
		not models.all_match(["*"], refs)
	}
}

test_unmatched_are_named if {
	models.unmatched(["llama*"], [llama, ollama("mistral", "7b"), {}]) == {"mistral:7b", "(unnamed)"}
	models.unmatched(["*"], [llama]) == set()
}

test_all_local_each_of_at_least_one if {
	models.all_local([llama])
	not models.all_local([llama, object.union(llama, {"source": "cloud"})])
	not models.all_local([object.remove(llama, ["source"])])
	not models.all_local([])
	not models.all_local(null)
	not models.all_local({"a": llama})
}
