package suite

allow if input.model == "tiny"
