package suite

default allow := true

obligations := {"no_such_obligation": {"targets": ["gpu"]}} if input.model == "routed"
