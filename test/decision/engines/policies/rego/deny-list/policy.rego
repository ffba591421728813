package suite

deny contains "model_not_allowed" if input.model == "forbidden"
