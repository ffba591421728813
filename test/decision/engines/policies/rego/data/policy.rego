package suite

default allow := false

allow if input.model in data.models[input.principal.id]
