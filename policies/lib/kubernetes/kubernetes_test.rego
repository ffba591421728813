package opallama.lib.kubernetes_test

import data.opallama.lib.kubernetes

planner := {
	"id": "system:serviceaccount:agents:planner",
	"kind": "kubernetes",
	"claims": {"kubernetes.io": {
		"namespace": "agents",
		"serviceaccount": {"name": "planner", "uid": "6c5f"},
		"pod": {"name": "planner-7d4b", "uid": "1b2c"},
	}},
}

by_hand := object.union(
	object.remove(planner, ["claims"]),
	{"claims": {"kubernetes.io": object.remove(planner.claims["kubernetes.io"], ["pod"])}},
)

# The same claims by another issuer.
pretender := object.union(planner, {"kind": "jwt"})

test_in_namespace if {
	kubernetes.in_namespace(planner, ["batch", "agents"])
	kubernetes.in_namespace(planner, {"agents"})
	not kubernetes.in_namespace(planner, ["batch"])
	not kubernetes.in_namespace(planner, "agents")
	not kubernetes.in_namespace(planner, [])
}

test_is_account if {
	kubernetes.is_account(planner, "agents", "planner")
	not kubernetes.is_account(planner, "agents", "other")
	not kubernetes.is_account(planner, "batch", "planner")
}

test_pod if {
	kubernetes.pod(planner) == "planner-7d4b"
	kubernetes.is_bound(planner)
	not kubernetes.is_bound(by_hand)
	kubernetes.is_account(by_hand, "agents", "planner")
}

test_nobody_else_is_one if {
	every principal in [pretender, object.remove(planner, ["kind"]), object.remove(planner, ["claims"]), {}, null] {
		not kubernetes.in_namespace(principal, ["agents"])
		not kubernetes.is_account(principal, "agents", "planner")
		not kubernetes.is_bound(principal)
	}
}
