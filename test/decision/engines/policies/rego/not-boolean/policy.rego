package suite

allow := input.options.answer
