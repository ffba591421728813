# METADATA
# title: Service accounts of Kubernetes
# description: >-
#   Questions about a principal that is a service account (identity.kubernetes), by the objects that its token is bound to.
#   No other kind of principal is one, whatever claims its token has: any issuer could write them.
package opallama.lib.kubernetes

# METADATA
# title: The principal is a service account of one of the namespaces
# description: '"names" is a list or a set of namespaces.'
in_namespace(principal, names) if {
	principal.kind == "kubernetes"
	principal.claims["kubernetes.io"].namespace in names
}

# METADATA
# title: The principal is this service account
is_account(principal, namespace, name) if {
	principal.kind == "kubernetes"
	principal.claims["kubernetes.io"].namespace == namespace
	principal.claims["kubernetes.io"].serviceaccount.name == name
}

# METADATA
# title: The name of the pod that the token is bound to
# description: Undefined for a token that was made by hand, as by "kubectl create token".
pod(principal) := principal.claims["kubernetes.io"].pod.name if principal.kind == "kubernetes"

# METADATA
# title: The token is bound to a pod
# description: A rule of its own to be negated, because OPA looks the pod up before it negates what is said of it.
is_bound(principal) if is_string(pod(principal))
