# METADATA
# title: Limits
# description: >-
#   How large a prompt may be: {"prompt_bytes": 100000, "estimated_tokens": 8000, "message_count": 50, "image_count": 0,
#   "max_tokens": 1024}, each the greatest number that fits, and each optional. Reads those members of the input and its
#   operation. A member that the input does not have does not fit: a request without max_tokens is one that Ollama does not
#   limit. Embeddings generate nothing, so max_tokens does not bind them.
package opallama.lib.limits

# METADATA
# scope: document
# title: The request fits all limits
# description: Never by limits that are malformed.
fits(limits) if {
	is_object(limits)
	count(exceeded(limits)) == 0
}

# METADATA
# scope: document
# title: The limits that the request does not fit
# description: >-
#   Names of members, also of those that are no limit or whose limit is no number. For the text of a denial; where limits may
#   be missing, deny by a rule of its own that asks for fits.
exceeded(limits) := {member |
	some member, limit in limits
	not _fits(member, limit)
}

_fits(member, limit) if {
	is_number(limit)
	value := _value(member)
	is_number(value)
	value <= limit
}

_fits("max_tokens", limit) if {
	is_number(limit)
	input.operation == "embed"
}

_value("prompt_bytes") := input.prompt_bytes

_value("estimated_tokens") := input.estimated_tokens

_value("message_count") := input.message_count

_value("image_count") := input.image_count

_value("max_tokens") := input.max_tokens
