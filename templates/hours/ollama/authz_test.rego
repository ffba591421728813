package ollama.authz_test

import data.ollama.authz
import data.opallama.lib.hours

local := [{"raw": "llama3.2", "name": "llama3.2", "source": "local", "part": "model"}]

cloud := [{"raw": "gpt-oss:cloud", "name": "gpt-oss", "source": "cloud", "part": "model"}]

times := {
	"always": ["version"], "within": ["chat"], "exempt_roles": ["oncall"],
	"windows": [{"zone": "UTC", "days": ["mon"], "from": "08:00", "to": "18:00"}],
}

# 2026-01-05 is a Monday.
at(text, role, refs) := {
	"operation": "chat", "model_refs": refs,
	"principal": {"roles": [role]}, "now_ns": time.parse_rfc3339_ns(text),
}

codes(given) := {reason.code | some reason in authz.deny with input as given with data.hours as times}

allowed(given) if authz.allow with input as given with data.hours as times

test_allow_within_the_hours if {
	allowed(at("2026-01-05T08:00:00Z", "staff", local))
	codes(at("2026-01-05T08:00:00Z", "staff", local)) == set()
}

test_deny_outside_of_the_hours if {
	every moment in ["2026-01-05T07:59:59Z", "2026-01-05T18:00:00Z", "2026-01-04T12:00:00Z"] {
		not allowed(at(moment, "staff", local))
		codes(at(moment, "staff", local)) == {"outside_hours"}
	}
}

test_allow_an_exempt_role_at_any_time if allowed(at("2026-01-04T12:00:00Z", "oncall", local))

test_allow_what_is_always_allowed if allowed({"operation": "version"})

test_deny_an_operation_that_is_not_listed if {
	not allowed({"operation": "models.pull"})
	codes({"operation": "models.pull"}) == {"operation_not_listed"}
}

test_deny_a_model_in_the_cloud if not allowed(at("2026-01-05T08:00:00Z", "oncall", cloud))

# What is missing must not open a door.
test_deny_without_clock_model_or_operation if {
	not allowed({"operation": "chat", "model_refs": local})
	not allowed(at("2026-01-05T08:00:00Z", "oncall", []))
	not allowed({})
}

test_windows_of_data_are_well_formed if {
	every window in data.hours.windows {
		hours.faults(window) == set()
	}
}
