# METADATA
# title: Control Zero's rules
# description: >-
#   Decides by a list of rules in the JSON form of Control Zero: {"effect": "allow", "action": "llm:chat.completions",
#   "resource": "ollama/*", "conditions": {"model": ["llama3*"]}}. A rule that denies goes before all that allow, and what no
#   rule allows is denied. Globs, in which "*" stands for any text, are compared with input.llm_action, with "ollama/" and the
#   model's name, and with that name; the name is tried with its tag and, where that is "latest", without. Each model that
#   the request names must be allowed. One malformed rule denies everything, since nobody knows what it was to deny.
package opallama.lib.control_zero

import data.opallama.lib.globs
import data.opallama.lib.models

# METADATA
# title: The rules allow the request
allowed(rules) if {
	is_array(rules)
	count(malformed(rules)) == 0
	count(denied_by(rules)) == 0
	count(not_allowed(rules)) == 0
}

# METADATA
# title: Why the rules do not allow the request
# description: Reasons for deny, at least one wherever the rules do not allow, and none where they do.
reasons(rules) := {reason |
	some code, texts in {
		"rule_malformed": malformed(rules),
		"denied_by_rule": denied_by(rules),
		"no_rule_allows": {text | some name in not_allowed(rules); text := concat("", ["no rule allows ", name])},
	}
	count(texts) > 0
	reason := {"code": code, "message": concat("; ", texts)}
}

# METADATA
# scope: document
# title: What is wrong with the rules
# description: A set of sentences that name the rule by its place in the list, from 0, and by its name or id.
# custom:
#   code: rule_malformed
#   remediation: Correct the rule that the message names. Until then everything is denied.
malformed(rules) := {"the rules are no list"} if {
	not is_array(rules)
} else := {message |
	some index, rule in rules
	some fault in _faults(rule)
	message := concat("", [_label(index, rule), ": ", fault])
}

# METADATA
# title: The rules that deny the request
# description: A set of sentences that name each by its place in the list, from 0, and by its name or id.
# custom:
#   code: denied_by_rule
#   remediation: Ask for another model or operation, or change the rule that the message names.
denied_by(rules) := {message |
	some index, rule in rules
	rule.effect == "deny"
	some subject in _subjects
	_applies(rule, subject)
	message := concat("", [_label(index, rule), " denies ", _describe(subject)])
}

# METADATA
# scope: document
# title: What of the request no rule allows
# description: The models, by name.
# custom:
#   code: no_rule_allows
#   remediation: Add a rule with effect "allow" for it.
not_allowed(rules) := {what |
	some subject in _subjects
	not _allows(rules, subject)
	what := _describe(subject)
}

_allows(rules, subject) if {
	some rule in rules
	rule.effect == "allow"
	_applies(rule, subject)
}

_applies(rule, subject) if {
	globs.matches_any(_list(rule.action), input.llm_action)
	_covers(_list(rule.resource), _resources(subject))
	_fulfils(rule, subject)
}

_fulfils(rule, _) if object.get(rule, "conditions", {}) == {}

_fulfils(rule, subject) if _covers(_list(rule.conditions.model), _names(subject))

# Ollama's names are without case.
_covers(patterns, texts) if {
	some pattern in patterns
	some text in texts
	globs.matches(lower(pattern), text)
}

# The models of the request; null stands for a request that names none.
_subjects := input.model_refs if {
	is_array(input.model_refs)
	count(input.model_refs) > 0
} else := [null]

_names(ref) := {models.name(ref), models.tagged(ref)}

_resources(null) := {"ollama", "ollama/"}

_resources(ref) := {concat("/", ["ollama", name]) | some name in _names(ref)} if ref != null

_describe(null) := "a request without a model"

_describe(ref) := models.name(ref) if ref != null

_list(text) := [text] if is_string(text)

_list(texts) := texts if globs.well_formed(texts)

_label(index, rule) := concat("", ["rule ", format_int(index, 10), " (", name, ")"]) if {
	some member in ["name", "id"]
	name := rule[member]
	is_string(name)
} else := concat("", ["rule ", format_int(index, 10)])

_faults(rule) := {"it is no object"} if {
	not is_object(rule)
} else := {fault | some fault, holds in _checks(rule); not holds}

_checks(rule) := object.union(
	{
		`"effect" is neither "allow" nor "deny"`: object.get(rule, "effect", null) in {"allow", "deny"},
		`"action" is no text and no list of texts`: _is_list(object.get(rule, "action", null)),
		`"resource" is no text and no list of texts`: _is_list(object.get(rule, "resource", null)),
		`"conditions" is no object`: is_object(object.get(rule, "conditions", {})),
		`"conditions.model" is no text and no list of texts`: _is_list(object.get(conditions, "model", "*")),
	},
	object.union(
		{fault: false |
			some member, _ in rule
			not member in {"effect", "action", "resource", "conditions", "name", "id", "description", "reason"}
			fault := concat("", ["the member ", json.marshal(member), " is unknown"])
		},
		{fault: false |
			some member, _ in conditions
			member != "model"
			fault := concat("", ["the condition ", json.marshal(member), " is not supported"])
		},
	),
) if {
	conditions := _conditions(rule)
}

default _conditions(_) := {}

_conditions(rule) := rule.conditions if is_object(rule.conditions)

default _is_list(_) := false

_is_list(value) if _list(value)
