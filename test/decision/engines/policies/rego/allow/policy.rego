package suite

default allow := false

allow if {
	"developer" in input.principal.roles
	input.model == "tiny"
}
