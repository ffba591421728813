package ollama.authz_test

import data.ollama.authz
import data.ollama.grants

# Roles of the tests' own, so that a change of data.json changes no expectation here.
roles := {
	"reader": {"operations": ["root", "version", "models.list"]},
	"chatter": {"operations": ["chat"], "models": ["llama3.2", "mistral:*", "team/*", "hf.co/**", "practice*"]},
	"developer": {"operations": ["*"], "models": ["*"]},
	"traveller": {"operations": ["*"], "cloud_models": ["gpt-oss:*-cloud"]},
	"keeper": {"management": ["models.copy", "models.delete", "blobs.create"], "models": ["*"]},
	"starred": {"operations": ["*"], "models": ["*"], "management": ["*"], "server_tools": ["*"]},
	"searcher": {"operations": ["chat"], "models": ["llama3.2"], "server_tools": ["web_search"]},
	"tooled": {"operations": ["root"], "server_tools": ["web_search"]},
	"empty": {},
}

llama := {
	"part": "model", "raw": "Llama3.2", "full": "registry.ollama.ai/library/llama3.2:latest",
	"host": "registry.ollama.ai", "namespace": "library", "name": "llama3.2", "tag": "latest", "source": "local",
}

mistral := object.union(llama, {"raw": "mistral:7b", "name": "mistral", "tag": "7b"})

cloud := object.union(llama, {"raw": "gpt-oss:120b-cloud", "name": "gpt-oss", "tag": "120b-cloud", "source": "cloud"})

# All that the sidecar builds for any such request, so that a rule added to this package finds what it looks for.
request(names, operation, refs) := {
	"version": 1,
	"phase": "request",
	"request_id": "r-1",
	"decision_id": "d-1",
	"api": "ollama",
	"operation": operation,
	"method": "POST",
	"path": "/api/chat",
	"principal": {"id": "someone", "kind": "jwt", "roles": names, "permissions": [], "claims": {}},
	"model": "llama3.2",
	"model_ref": llama,
	"model_refs": refs,
	"stream": true,
	"has_tools": false,
	"tools": [],
	"server_tools": [],
	"has_system_prompt": false,
	"has_images": false,
	"image_count": 0,
	"message_count": 1,
	"prompt_bytes": 2,
	"estimated_tokens": 1,
	"client": {"ip": "127.0.0.1"},
	"now_ns": 1700000000000000000,
	"mcp_server": "ollama-proxy",
	"tool_name": "ollama-api",
	"action": "POST",
	"resource": "ollama/llama3.2",
	"llm_action": "llm:chat.completions",
}

allowed := {"allow": true, "deny": set()}

denied(code, message) := {"allow": false, "deny": {{"code": code, "message": message}}}

codes := {reason.code | some reason in authz.deny}

# Operations

test_allow_operation_listed if {
	authz == allowed with input as request(["reader"], "models.list", []) with data.ollama.roles as roles
	authz == allowed with input as request(["chatter"], "chat", [llama]) with data.ollama.roles as roles
}

test_allow_operation_without_model_refs if {
	authz == allowed with input as json.remove(request(["reader"], "root", []), ["model_refs"]) with data.ollama.roles as roles
}

test_allow_every_use_operation_by_star if {
	every operation in grants.use_operations {
		authz == allowed with input as request(["developer"], operation, [llama]) with data.ollama.roles as roles
	}
}

test_allow_second_role if {
	authz == allowed with input as request(["reader", "chatter"], "chat", [llama]) with data.ollama.roles as roles
	authz == allowed with input as request(["chatter", "reader"], "chat", [llama]) with data.ollama.roles as roles
	authz == allowed with input as request(["nobody", "chatter"], "chat", [llama]) with data.ollama.roles as roles
}

test_deny_operation_not_listed if {
	authz == denied(
		"operation_not_allowed",
		`No role of the caller (reader) lists the operation "chat" under "operations".`,
	) with input as request(["reader"], "chat", [llama]) with data.ollama.roles as roles
}

test_deny_role_without_operations if {
	codes == {"operation_not_allowed"} with input as request(["empty"], "root", []) with data.ollama.roles as roles
}

test_deny_operation_absent if {
	authz == denied(
		"management_not_allowed",
		`The operation "(none)" manages the upstream, and no role of the caller (developer) names it under "management".`,
	) with input as json.remove(request(["developer"], "chat", [llama]), ["operation"]) with data.ollama.roles as roles
}

# One role's operation doesn't combine with another's models.
test_deny_model_of_a_role_without_the_operation if {
	codes == {"cloud_model_not_allowed"} with input as request(["chatter", "keeper"], "chat", [cloud]) with data.ollama.roles as roles
	codes == {"model_not_allowed"} with input as request(["reader", "keeper"], "models.list", [llama]) with data.ollama.roles as roles
}

# Roles

test_deny_no_role if {
	expected := denied("no_role", "The caller has no role, and only roles grant anything.")
	authz == expected with input as request([], "chat", [llama]) with data.ollama.roles as roles
	authz == expected with input as json.remove(request([], "chat", [llama]), ["principal/roles"]) with data.ollama.roles as roles
	authz == expected with input as json.remove(request([], "chat", [llama]), ["principal"]) with data.ollama.roles as roles
	authz == expected with input as {} with data.ollama.roles as roles
}

test_deny_roles_not_text if {
	codes == {"no_role"} with input as request([null, 1, {"developer": true}], "chat", [llama]) with data.ollama.roles as roles
	codes == {"no_role"} with input as request("developer", "chat", [llama]) with data.ollama.roles as roles
}

test_deny_role_unknown if {
	authz == denied(
		"role_unknown",
		"No role of the caller is defined in data.ollama.roles: a, b.",
	) with input as request(["b", "a"], "chat", [llama]) with data.ollama.roles as roles
}

test_deny_without_data if {
	document := request(["developer"], "chat", [llama])
	result := authz with input as document with data.ollama.roles as {}
	result == denied("role_unknown", "No role of the caller is defined in data.ollama.roles: developer.")
}

# Management

test_allow_management_named if {
	authz == allowed with input as request(["keeper"], "models.delete", [llama]) with data.ollama.roles as roles
}

test_allow_management_without_model if {
	authz == allowed with input as request(["keeper"], "blobs.create", []) with data.ollama.roles as roles
}

test_deny_management_not_named if {
	authz == denied(
		"management_not_allowed",
		concat(" ", [
			`The operation "models.delete" manages the upstream,`,
			`and no role of the caller (developer) names it under "management".`,
		]),
	) with input as request(["developer"], "models.delete", [llama]) with data.ollama.roles as roles
}

test_deny_management_by_star if {
	codes == {"management_not_allowed"} with input as request(["starred"], "models.delete", [llama]) with data.ollama.roles as roles
}

test_deny_operation_that_the_policy_does_not_know if {
	codes == {"management_not_allowed"} with input as request(["developer", "starred"], "models.invented", [llama]) with data.ollama.roles as roles
}

# Models

test_deny_model_not_listed if {
	authz == denied(
		"model_not_allowed",
		`No role of the caller (chatter) that may "chat" lists the model "qwen3:8b" under "models".`,
	) with input as request(["chatter"], "chat", [object.union(llama, {"name": "qwen3", "tag": "8b"})]) with data.ollama.roles as roles
}

test_deny_role_without_models if {
	codes == {"model_not_allowed"} with input as request(["traveller"], "chat", [llama]) with data.ollama.roles as roles
}

test_deny_model_absent if {
	expected := denied("model_missing", `The operation "chat" needs a model, and the request names none.`)
	authz == expected with input as json.remove(request(["developer"], "chat", []), ["model_refs"]) with data.ollama.roles as roles
	authz == expected with input as request(["developer"], "chat", []) with data.ollama.roles as roles
	authz == expected with input as request(["developer"], "chat", "llama3.2") with data.ollama.roles as roles
	authz == expected with input as request(["developer"], "chat", {"model": llama}) with data.ollama.roles as roles
}

test_deny_management_model_absent if {
	codes == {"model_missing"} with input as request(["keeper"], "models.delete", []) with data.ollama.roles as roles
}

test_deny_one_of_several_models if {
	authz == allowed with input as request(["keeper"], "models.copy", [llama, mistral]) with data.ollama.roles as roles
	codes == {"cloud_model_not_allowed"} with input as request(["keeper"], "models.copy", [llama, cloud]) with data.ollama.roles as roles
	codes == {
		"cloud_model_not_allowed",
		"model_not_allowed",
	} with input as request(["chatter"], "chat", [cloud, object.union(llama, {"name": "qwen3"}), llama]) with data.ollama.roles as roles
}

test_allow_models_of_two_roles if {
	authz == allowed with input as request(["chatter", "traveller"], "chat", [llama, cloud]) with data.ollama.roles as roles
}

test_deny_model_member_absent if {
	every member in ["host", "namespace", "name", "tag", "source"] {
		ref := object.remove(llama, [member])
		codes == {"model_not_allowed"} with input as request(["chatter"], "chat", [ref]) with data.ollama.roles as roles
	}
	authz == denied(
		"model_not_allowed",
		`No role of the caller (chatter) that may "chat" lists the model "(unnamed)" under "models".`,
	) with input as request(["chatter"], "chat", [{"source": "local"}]) with data.ollama.roles as roles
}

# Even where every model is granted, it must be known whether it is local.
test_deny_source_absent if {
	codes == {"model_not_allowed"} with input as request(["developer"], "chat", [object.remove(llama, ["source"])]) with data.ollama.roles as roles
	codes == {"model_not_allowed"} with input as request(["developer"], "chat", [object.union(llama, {"source": "elsewhere"})]) with data.ollama.roles as roles
	codes == {"model_not_allowed"} with input as request(["developer"], "chat", [{}]) with data.ollama.roles as roles
	codes == {"model_not_allowed"} with input as request(["developer"], "chat", [null]) with data.ollama.roles as roles
}

# Cloud models

test_allow_cloud_model_named if {
	authz == allowed with input as request(["traveller"], "chat", [cloud]) with data.ollama.roles as roles
}

test_deny_cloud_model_not_named if {
	authz == denied(
		"cloud_model_not_allowed",
		concat(" ", [
			`The model "gpt-oss:120b-cloud" runs in the cloud,`,
			`and no role of the caller (developer) that may "chat" lists it under "cloud_models".`,
		]),
	) with input as request(["developer"], "chat", [cloud]) with data.ollama.roles as roles
}

# Tools that Ollama runs itself

searching(names, tools) := object.union(request(names, "chat", [llama]), {"server_tools": tools})

test_allow_server_tool_named if {
	authz == allowed with input as searching(["searcher"], ["web_search"]) with data.ollama.roles as roles
	authz == allowed with input as searching(["developer", "searcher"], ["web_search"]) with data.ollama.roles as roles
}

test_deny_server_tool_not_named if {
	authz == denied(
		"server_tool_not_allowed",
		concat(" ", [
			`Ollama itself runs the tool "web_search" and asks the network for it,`,
			`and no role of the caller (developer) that may "chat" names it under "server_tools".`,
		]),
	) with input as searching(["developer"], ["web_search"]) with data.ollama.roles as roles
}

test_deny_server_tool_by_star if {
	codes == {"server_tool_not_allowed"} with input as searching(["starred"], ["web_search"]) with data.ollama.roles as roles
}

test_deny_one_of_several_server_tools if {
	codes == {"server_tool_not_allowed"} with input as searching(["searcher"], ["web_search", "new"]) with data.ollama.roles as roles
	codes == {"server_tool_not_allowed"} with input as searching(["searcher"], [null]) with data.ollama.roles as roles
}

test_deny_server_tool_of_a_role_without_the_operation if {
	codes == {"server_tool_not_allowed"} with input as searching(["chatter", "tooled"], ["web_search"]) with data.ollama.roles as roles
}

test_deny_server_tools_absent if {
	document := request(["searcher"], "chat", [llama])
	expected := denied(
		"server_tools_missing",
		`The input has no array "server_tools", so that nobody knows which tools Ollama would run itself.`,
	)
	authz == expected with input as object.remove(document, ["server_tools"]) with data.ollama.roles as roles
	every tools in [null, false, "web_search", 1] {
		authz == expected with input as object.union(document, {"server_tools": tools}) with data.ollama.roles as roles
	}
	generated := request(["developer"], "generate", [llama])
	authz == expected with input as object.union(generated, {"server_tools": 1}) with data.ollama.roles as roles
}

# Without a prompt there are no tools, and the input says nothing of them.
test_allow_server_tools_absent_where_there_is_no_prompt if {
	document := object.remove(request(["developer"], "models.show", [llama]), ["server_tools"])
	authz == allowed with input as document with data.ollama.roles as roles
}

# What a caller calls its own tools decides nothing.
test_allow_tool_of_that_name if {
	document := object.union(request(["chatter"], "chat", [llama]), {"tools": ["web_search"]})
	authz == allowed with input as document with data.ollama.roles as roles
}

# A reason for every denial, and none beside an allow.

test_deny_exactly_where_there_is_a_reason if {
	every names in [[], ["x"], ["reader"], ["chatter", "keeper"], null] {
		every operation in ["root", "chat", "models.delete", "new", null] {
			every refs in [[], [llama, cloud], [{}], {}, null] {
				is_reasoned(request(names, operation, refs))
			}
		}
	}
}

test_deny_tools_exactly_where_there_is_a_reason if {
	every names in [[], ["reader"], ["chatter", "keeper"], null] {
		every tools in [[], ["web_search"], [1], {}, {"a": null}, false, null] {
			is_reasoned(object.union(request(names, "chat", [llama]), {"server_tools": tools}))
		}
	}
}

is_reasoned(document) if {
	result := authz with input as document with data.ollama.roles as roles
	reasonless := count(result.deny) == 0
	result.allow == reasonless
}

# No member that may hold content, nor agent_role, is read.

test_allow_whatever_the_content if {
	document := object.union(request(["chatter"], "chat", [llama]), {
		"messages": "anything",
		"prompt": {},
		"model": "qwen3",
		"model_ref": cloud,
		"agent_role": "nobody",
	})
	authz == allowed with input as document with data.ollama.roles as roles
}
