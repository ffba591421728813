package suite

allow := true if input.model in {"tiny", "broken"}

allow := false if input.model == "broken"
