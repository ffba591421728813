# METADATA
# title: Grants
# description: >-
#   What the caller's roles and permissions grant, read from data.ollama.roles and data.ollama.permissions, which have the
#   same form. A package of its own because rules beside allow and deny
#   would be evaluated and returned with every decision. Of the input it reads operation, principal, model_refs and
#   server_tools, all of them without content; not agent_role, because a caller with several roles and no such claim would then be refused.
# schemas:
#   - input: schema.input
package ollama.grants

# METADATA
# title: Operations that use what is there
# description: >-
#   What a role's "operations" can cover. Everything else is management, an operation of a later version included, so that
#   no "*" written today covers it.
use_operations := {
	"root", "version", "status",
	"models.list", "models.show", "models.ps",
	"chat", "generate", "embed",
}

# METADATA
# title: Operations without a model
# description: Every other operation must name at least one model.
modelless_operations := {
	"root", "version", "status",
	"models.list", "models.ps",
	"blobs.check", "blobs.create",
	"aliases.list",
	"account.show", "account.signout",
}

# METADATA
# title: The operation uses what is there
uses if input.operation in use_operations

# METADATA
# scope: document
# title: A role or a permission of the caller covers the operation
operation_granted if {
	some role in input.principal.roles
	_covers_operation(data.ollama.roles[role])
}

operation_granted if {
	some permission in input.principal.permissions
	_covers_operation(data.ollama.permissions[permission])
}

# METADATA
# scope: document
# title: The models of the request are covered
# description: Each of them, by a role that covers the operation.
models_granted if {
	names_models
	every ref in input.model_refs {
		model_granted(ref)
	}
}

models_granted if {
	names_models
	not input.model_refs
}

# METADATA
# scope: document
# title: The request names the models that its operation needs
# description: At least one, or none for an operation that needs none.
names_models if {
	is_array(input.model_refs)
	count(input.model_refs) > 0
}

names_models if {
	input.operation in modelless_operations
	input.model_refs == []
}

names_models if {
	input.operation in modelless_operations
	not input.model_refs
}

# METADATA
# scope: document
# title: What covers the operation covers the model
model_granted(ref) if {
	some role in input.principal.roles
	grant := data.ollama.roles[role]
	_covers_operation(grant)
	_covers_model(grant, ref)
}

model_granted(ref) if {
	some permission in input.principal.permissions
	grant := data.ollama.permissions[permission]
	_covers_operation(grant)
	_covers_model(grant, ref)
}

# METADATA
# scope: document
# title: The tools that Ollama runs itself are covered
# description: >-
#   Each of them, by a role that covers the operation. Only a chat can bring some, so a chat must say which, if only that
#   there are none.
server_tools_granted if {
	lists_server_tools
	every tool in input.server_tools {
		server_tool_granted(tool)
	}
}

server_tools_granted if {
	not input.operation == "chat"
	not input.server_tools
}

# METADATA
# title: The input says which tools Ollama would run itself
# description: A rule of its own, because OPA looks a member up before it negates what is said of it.
lists_server_tools if is_array(input.server_tools)

# METADATA
# scope: document
# title: What covers the operation names the tool
server_tool_granted(tool) if {
	some role in input.principal.roles
	grant := data.ollama.roles[role]
	_covers_operation(grant)
	tool in grant.server_tools
}

server_tool_granted(tool) if {
	some permission in input.principal.permissions
	grant := data.ollama.permissions[permission]
	_covers_operation(grant)
	tool in grant.server_tools
}

# METADATA
# scope: document
# title: The tool's name for people
default tool_name(_) := "(unnamed)"

tool_name(tool) := tool if is_string(tool)

# METADATA
# scope: document
# title: The model's name for people and globs
# description: Ollama's own host and namespace are left out, as is the tag "latest".
default model_name(_) := "(unnamed)"

model_name(ref) := _path(ref) if {
	ref.tag == "latest"
} else := concat(":", [_path(ref), ref.tag])

# METADATA
# scope: document
# title: The operation for people
default operation_name := "(none)"

operation_name := input.operation if is_string(input.operation)

# METADATA
# title: The caller's roles
roles contains role if {
	some role in input.principal.roles
	is_string(role)
}

# METADATA
# scope: document
# title: Those of the caller's roles and permissions that are defined
known contains role if {
	some role in roles
	data.ollama.roles[role]
}

known contains permission if {
	some permission in input.principal.permissions
	data.ollama.permissions[permission]
}

# METADATA
# title: The caller's roles, and its permissions that are defined, for people
role_list := concat(", ", roles | known)

_covers_operation(grant) if {
	uses
	_lists(grant.operations, input.operation)
}

_covers_operation(grant) if {
	not uses
	input.operation in grant.management
}

_covers_model(grant, ref) if {
	ref.source == "local"
	_matches(grant.models, ref)
}

_covers_model(grant, ref) if {
	ref.source == "cloud"
	_matches(grant.cloud_models, ref)
}

_lists(names, _) if "*" in names

_lists(names, name) if name in names

_matches(patterns, _) if "*" in patterns

_matches(patterns, ref) if {
	not "*" in patterns
	path := _path(ref)
	tagged := concat(":", [path, ref.tag])
	some pattern in patterns
	_glob(pattern, _subject(pattern, path, tagged))
}

# The tag "latest" is matched by globs that name a tag, and otherwise left out, as Ollama lets people leave it out.
_subject(pattern, path, tagged) := path if {
	endswith(tagged, ":latest")
	not contains(pattern, ":")
} else := tagged

_glob(pattern, name) if pattern == name

# glob.match costs more than a whole decision without it: so only where the text before the first "*" fits.
_glob(pattern, name) if {
	contains(pattern, "*")
	startswith(name, split(pattern, "*")[0])
	glob.match(pattern, ["/"], name)
}

_path(ref) := ref.name if {
	ref.host == "registry.ollama.ai"
	ref.namespace == "library"
} else := concat("/", [ref.namespace, ref.name]) if {
	ref.host == "registry.ollama.ai"
} else := concat("/", [ref.host, ref.namespace, ref.name])
