package suite

default allow := true

deny contains {"code": "model_not_allowed", "message": text} if {
	input.model == "forbidden"
	text := concat("", ["The model ", input.model, " is not for you."])
}

deny contains "too_many_messages" if input.message_count > 10

deny contains "Nobody may embed, ask the owner." if input.operation == "embed"

reasons contains {"code": "see_handbook"} if input.model == "forbidden"
