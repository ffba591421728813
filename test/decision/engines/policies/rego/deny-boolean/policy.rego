package suite

default allow := true

deny if input.model == "forbidden"
