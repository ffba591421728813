# METADATA
# title: Data classes
# description: >-
#   Which models may see data of which class. The caller labels a request by its metadata (data_class); the verified token
#   says in the claim data_classes which classes the caller handles.
# entrypoint: true
# schemas:
#   - input: schema.input
package ollama.authz

import data.ollama.labels
import data.opallama.lib.models

# METADATA
# scope: document
# title: Allow models that the class of the data may be shown to
# description: Models in the cloud only where the class may leave the machine.
default allow := false

allow if input.operation in data.data_class.without_prompt

allow if {
	input.operation in data.data_class.with_prompt
	labels.cleared
	models.all_match(data.data_class.classes[labels.class].models, input.model_refs)
	labels.may_leave
}

allow if {
	input.operation in data.data_class.with_prompt
	labels.cleared
	models.all_match(data.data_class.classes[labels.class].models, input.model_refs)
	models.all_local(input.model_refs)
}

# METADATA
# title: The operation is not listed
# description: What no list of data.json names is denied.
# custom:
#   code: operation_not_listed
#   remediation: Add the operation to "without_prompt" or "with_prompt" in data.json.
deny contains {"code": "operation_not_listed", "message": message} if {
	not input.operation in array.concat(data.data_class.without_prompt, data.data_class.with_prompt)
	message := concat("", [`The operation "`, input.operation, `" is not listed.`])
}

# METADATA
# title: The caller is not cleared for the class
# description: The claim data_classes of the token does not list it.
# custom:
#   code: class_not_cleared
#   remediation: Add the class to the claim data_classes of the caller's token, or label the request with another one.
deny contains {"code": "class_not_cleared", "message": message} if {
	input.operation in data.data_class.with_prompt
	not labels.cleared
	message := concat("", [`The caller does not handle data of the class "`, labels.class, `".`])
}

# METADATA
# title: The model may not see the class
# description: Neither the models of the class nor those of the cloud, where it may leave, hold it.
# custom:
#   code: model_not_for_class
#   remediation: Choose a model that data.json lists for the class.
deny contains {"code": "model_not_for_class", "message": message} if {
	not allow
	input.operation in data.data_class.with_prompt
	labels.cleared
	message := concat("", [`This model is not for data of the class "`, labels.class, `".`])
}
