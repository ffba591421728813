package suite

allow if input.model == "tiny"

allow := false if input.model == "other"
