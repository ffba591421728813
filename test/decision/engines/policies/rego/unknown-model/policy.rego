package suite

default allow := false

allow if not denied

denied if input.model != "tiny"

denied if not input.model
