package suite

default allow := false

http_status := 404 if input.model == "hidden"

http_status := 200 if input.model == "lying"

body := {"error": "no such model"} if input.model == "hidden"

headers := {"X-Support": "help@example.org"} if input.model == "hidden"
