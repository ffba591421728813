package suite

default allow := false

allow if not secret

secret if {
	some message in input.messages
	contains(message.content, "geheim 🔑")
}
