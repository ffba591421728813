# METADATA
# title: Labels
# description: >-
#   The class of a request's data. A package of its own, because every rule of ollama.authz is part of the decision.
# schemas:
#   - input: schema.input
package ollama.labels

# METADATA
# scope: document
# title: The class that the caller gives, else the one that data.json has for requests without a label
class := input.metadata.data_class if {
	is_string(input.metadata.data_class)
} else := data.data_class.unlabelled

# METADATA
# title: The caller handles data of this class
cleared if class in input.principal.claims.data_classes

# METADATA
# title: Data of this class may leave the machine
may_leave if data.data_class.classes[class].cloud == true
