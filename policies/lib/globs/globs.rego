# METADATA
# title: Globs
# description: >-
#   Patterns in which only "*" is special: what else a glob could mean would be a wider grant than its text shows. What is no
#   text matches nothing.
package opallama.lib.globs

# METADATA
# scope: document
# title: The pattern matches the text
# description: '"*" stands for any text, an empty one too. Letters must agree in case.'
matches(pattern, text) if {
	is_string(pattern)
	pattern == text
}

matches(pattern, text) if _has_ends(split(pattern, "*"), text)

matches(pattern, text) if {
	_may_match(pattern, text)
	regex.match(concat("", [`(?s)\A`, _joined(pattern, "*", ".*"), `\z`]), text)
}

# METADATA
# scope: document
# title: The pattern matches the path
# description: '"*" stands for any text without a slash, "**" for any text.'
matches_path(pattern, text) if {
	is_string(pattern)
	pattern == text
}

matches_path(pattern, text) if {
	ends := split(pattern, "*")
	_has_ends(ends, text)
	not contains(trim_suffix(trim_prefix(text, ends[0]), ends[1]), "/")
}

matches_path(pattern, text) if {
	_may_match(pattern, text)
	pieces := [_joined(piece, "*", "[^/]*") | some piece in split(pattern, "**")]
	regex.match(concat("", [`(?s)\A`, concat(".*", pieces), `\z`]), text)
}

# METADATA
# title: One of the patterns matches the text
matches_any(patterns, text) if {
	some pattern in patterns
	matches(pattern, text)
}

# METADATA
# title: Nothing but a list of texts, and at least one
# description: Anything else in the place of patterns would match nothing, and a rule that denies by them would never hold.
well_formed(patterns) if {
	is_array(patterns)
	count(patterns) > 0
	every pattern in patterns {
		is_string(pattern)
	}
}

# Most patterns have one "*", and need no more than a look at both ends of the text.
_has_ends([head, tail], text) if {
	startswith(text, head)
	endswith(text, tail)
	count(text) >= count(head) + count(tail)
}

# A regular expression costs more than many a decision without it: so only where there are several "*" and the first part
# fits. Not glob.match: in compiled policy its "*" stands for no line break, so that a name with one would get past a deny.
_may_match(pattern, text) if {
	parts := split(pattern, "*")
	count(parts) > 2
	startswith(text, parts[0])
}

_joined(pattern, star, by) := concat(by, [_quote(part) | some part in split(pattern, star)])

_quote(part) := strings.replace_n(
	{
		`\`: `\\`, ".": `\.`, "+": `\+`, "?": `\?`, "(": `\(`, ")": `\)`, "|": `\|`,
		"[": `\[`, "]": `\]`, "{": `\{`, "}": `\}`, "^": `\^`, "$": `\$`,
	},
	part,
)
