# METADATA
# title: Allow-list
# description: Whoever is known may use the operations and models that data.json lists, and nothing else.
# entrypoint: true
# schemas:
#   - input: schema.input
package ollama.authz

import data.opallama.lib.models

# METADATA
# scope: document
# title: Allow what is listed
# description: A model that runs in the cloud is not covered by any list.
default allow := false

allow if input.operation in data.allow_list.without_model

allow if {
	input.operation in data.allow_list.with_model
	models.all_local(input.model_refs)
	models.all_match(data.allow_list.models, input.model_refs)
}

# METADATA
# title: The operation is not listed
# description: What no list of data.json names is denied.
# custom:
#   code: operation_not_listed
#   remediation: Add the operation to without_model or with_model in data.json.
deny contains {"code": "operation_not_listed", "message": message} if {
	not input.operation in array.concat(data.allow_list.without_model, data.allow_list.with_model)
	message := concat("", [`The operation "`, input.operation, `" is not listed.`])
}

# METADATA
# title: A model is not listed
# description: Each model that the request names must be matched by the list.
# custom:
#   code: model_not_listed
#   remediation: Add the model, or a glob that matches it, to models in data.json.
deny contains {"code": "model_not_listed", "message": message} if {
	input.operation in data.allow_list.with_model
	some name in models.unmatched(data.allow_list.models, input.model_refs)
	message := concat("", [`The model "`, name, `" is not listed.`])
}

# METADATA
# title: A model runs in the cloud
# description: What it is asked would leave the machine.
# custom:
#   code: cloud_model
#   remediation: Use a model that runs here.
deny contains {"code": "cloud_model", "message": message} if {
	input.operation in data.allow_list.with_model
	some ref in input.model_refs
	ref.source != "local"
	message := concat("", [`The model "`, models.name(ref), `" does not run here.`])
}
