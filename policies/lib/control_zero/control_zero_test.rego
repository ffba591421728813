package opallama.lib.control_zero_test

import data.opallama.lib.control_zero

model(name, tag) := {
	"part": "model", "host": "registry.ollama.ai", "namespace": "library",
	"name": name, "tag": tag, "source": "local",
}

llama := model("llama3", "latest")

request(refs) := {"llm_action": "llm:chat.completions", "model_refs": refs, "resource": "ollama/llama3"}

allow := {"effect": "allow", "action": "llm:chat.completions", "resource": "ollama/*", "conditions": {"model": ["llama3", "mistral"]}}

deny := {"effect": "deny", "action": "llm:chat.completions", "resource": "ollama/*", "conditions": {"model": ["*-uncensored"]}}

codes(rules) := {reason.code | some reason in control_zero.reasons(rules)}

test_allowed_by_a_rule if {
	control_zero.allowed([allow, deny]) with input as request([llama])
	control_zero.reasons([allow, deny]) == set() with input as request([llama])
}

test_denied_where_nothing_matches if {
	not control_zero.allowed([allow, deny]) with input as request([model("qwen3", "8b")])
	control_zero.reasons([allow, deny]) == {{
		"code": "no_rule_allows",
		"message": "no rule allows qwen3:8b",
	}} with input as request([model("qwen3", "8b")])
	not control_zero.allowed([]) with input as request([llama])
	codes([]) == {"no_rule_allows"} with input as request([llama])
}

test_denied_before_allowed_whatever_the_order if {
	all := {"effect": "allow", "action": "*", "resource": "*"}
	bad := request([model("wizard-uncensored", "latest")])
	every rules in [[all, deny], [deny, all]] {
		control_zero.allowed(rules) with input as request([llama])
		not control_zero.allowed(rules) with input as bad
		codes(rules) == {"denied_by_rule"} with input as bad
	}
	named := object.union(deny, {"name": "no uncensored models"})
	control_zero.denied_by([all, named]) == {"rule 1 (no uncensored models) denies wizard-uncensored"} with input as bad
}

test_globs_of_action if {
	every action in ["llm:chat.completions", "llm:*", "*", "*.completions", ["x", "llm:chat.*"]] {
		control_zero.allowed([object.union(allow, {"action": action})]) with input as request([llama])
	}
	every action in ["llm:chat", "LLM:*", "llm:completions", "tool:*", ["x"]] {
		not control_zero.allowed([object.union(allow, {"action": action})]) with input as request([llama])
	}
}

test_globs_of_resource if {
	every resource in ["ollama/llama3", "ollama/llama3:latest", "ollama/*", "*", "OLLAMA/Llama*", ["x", "ollama/ll*"]] {
		control_zero.allowed([object.union(allow, {"resource": resource})]) with input as request([llama])
	}
	every resource in ["ollama", "model/llama3", "openai/*", "llama3", "ollama/llama", "ollama/llama3:8b"] {
		not control_zero.allowed([object.union(allow, {"resource": resource})]) with input as request([llama])
	}
	team := object.union(llama, {"host": "hf.co", "namespace": "team"})
	rule := {"effect": "allow", "action": "*", "resource": "ollama/*"}
	control_zero.allowed([rule]) with input as request([team])
}

test_conditions_on_the_model if {
	every condition in ["llama3", "llama*", ["x", "llama3:latest"], "LLAMA3"] {
		control_zero.allowed([object.union(allow, {"conditions": {"model": condition}})]) with input as request([llama])
	}
	not control_zero.allowed([object.union(allow, {"conditions": {"model": ["llama3:8b"]}})]) with input as request([llama])
	control_zero.allowed([{"effect": "allow", "action": "*", "resource": "*", "conditions": {}}]) with input as request([llama])
}

test_each_model_must_be_allowed_and_none_denied if {
	all := {"effect": "allow", "action": "*", "resource": "*"}
	bad := model("wizard-uncensored", "latest")
	not control_zero.allowed([allow]) with input as request([llama, model("qwen3", "8b")])
	not control_zero.allowed([all, deny]) with input as request([llama, bad])
	control_zero.allowed([all, deny]) with input as request([llama, model("qwen3", "8b")])
}

test_requests_without_a_model if {
	list := {"llm_action": "llm:models.list", "resource": "ollama"}
	every resource in ["ollama", "ollama/*", "*"] {
		rule := {"effect": "allow", "action": "llm:models.list", "resource": resource}
		control_zero.allowed([rule]) with input as list
		control_zero.allowed([rule]) with input as object.union(list, {"model_refs": []})
		conditional := object.union(rule, {"conditions": {"model": "*"}})
		not control_zero.allowed([conditional]) with input as list
		control_zero.not_allowed([conditional]) == {"a request without a model"} with input as list
	}
}

test_denied_where_a_member_is_absent if {
	all := {"effect": "allow", "action": "*", "resource": "*"}
	control_zero.allowed([all]) with input as request([llama])
	not control_zero.allowed([all]) with input as object.remove(request([llama]), ["llm_action"])
	codes([all]) == {"no_rule_allows"} with input as {}
	every ref in ["llama3", {}, 1, object.remove(llama, ["tag"]), object.remove(llama, ["name"])] {
		not control_zero.allowed([all]) with input as request([ref])
		count(codes([all])) > 0 with input as request([ref])
	}
}

test_denied_by_one_malformed_rule if {
	all := {"effect": "allow", "action": "*", "resource": "*"}
	slip := {"effect": "deny", "action": "llm:*", "ressource": "ollama/*", "id": "r-7"}
	not control_zero.allowed([all, slip]) with input as request([llama])
	codes([all, slip]) == {"rule_malformed"} with input as request([llama])
	control_zero.malformed([all, slip]) == {
		`rule 1 (r-7): "resource" is no text and no list of texts`,
		`rule 1 (r-7): the member "ressource" is unknown`,
	}
}

test_malformed_says_what_is_wrong if {
	every rules in [null, {}, "allow", 1] {
		control_zero.malformed(rules) == {"the rules are no list"}
		not control_zero.allowed(rules) with input as request([llama])
	}
	control_zero.malformed([null, "allow"]) == {"rule 0: it is no object", "rule 1: it is no object"}
	every effect in ["Allow", "permit", true, null] {
		control_zero.malformed([object.union(allow, {"effect": effect})]) == {`rule 0: "effect" is neither "allow" nor "deny"`}
	}
	every value in [null, 1, [], [1], {}, ["a", null]] {
		control_zero.malformed([object.union(object.remove(allow, ["action"]), {"action": value})]) == {`rule 0: "action" is no text and no list of texts`}
	}
	control_zero.malformed([object.union(allow, {"conditions": "x"})]) == {`rule 0: "conditions" is no object`}
	control_zero.malformed([object.union(allow, {"conditions": {"model": 1}})]) == {`rule 0: "conditions.model" is no text and no list of texts`}
	control_zero.malformed([object.union(allow, {"conditions": {"agent_id": "a-*"}})]) == {`rule 0: the condition "agent_id" is not supported`}
	control_zero.malformed([allow, deny, {"effect": "deny", "action": "a", "resource": "b", "description": "d", "reason": "r"}]) == set()
}
