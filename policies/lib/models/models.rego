# METADATA
# title: Models
# description: >-
#   Globs over models as input.model_refs has them. Names are as people write them, in lower case: Ollama's own host and
#   namespace are left out. "*" stands for any text without a slash and "**" for any text; "*" alone means every model. A
#   glob that names a tag sees "latest" as well, which names leave out.
package opallama.lib.models

import data.opallama.lib.globs

# METADATA
# scope: document
# title: The model's name for people
default name(_) := "(unnamed)"

name(ref) := _name(ref)

# METADATA
# scope: document
# title: The model's name with its tag, also where that is "latest"
tagged(ref) := concat(":", [_path(ref), ref.tag])

# METADATA
# title: One of the globs matches the model
matches(patterns, ref) if {
	some pattern in patterns
	_matches(pattern, ref)
}

# METADATA
# title: Each of the models is matched by one of the globs
# description: And there is at least one. For an allow.
all_match(patterns, refs) if {
	is_array(refs)
	count(refs) > 0
	every ref in refs {
		matches(patterns, ref)
	}
}

# METADATA
# title: The models that none of the globs matches, by name
unmatched(patterns, refs) := {name(ref) |
	some ref in refs
	not matches(patterns, ref)
}

# METADATA
# title: Each of the models runs here
# description: And there is at least one. A model whose source is not known does not.
all_local(refs) if {
	is_array(refs)
	count(refs) > 0
	every ref in refs {
		ref.source == "local"
	}
}

# A model that the input does not name whole is matched by nothing.
_matches("*", ref) if _name(ref)

_matches(pattern, ref) if {
	pattern != "*"
	globs.matches_path(pattern, _subject(pattern, ref))
}

_subject(pattern, ref) := tagged(ref) if {
	contains(pattern, ":")
} else := _name(ref)

_name(ref) := _path(ref) if {
	ref.tag == "latest"
} else := tagged(ref)

_path(ref) := ref.name if {
	ref.host == "registry.ollama.ai"
	ref.namespace == "library"
} else := concat("/", [ref.namespace, ref.name]) if {
	ref.host == "registry.ollama.ai"
} else := concat("/", [ref.host, ref.namespace, ref.name])
