package suite

default allow := true

headers := {"X-Tenant": "blue"} if input.model == "tiny"

headers := {"Authorization": "Bearer x"} if input.model == "forging"

request_headers_to_remove := ["User-Agent"]

response_headers_to_add := {"X-Judged": "yes"}

dynamic_metadata := {"team": "blue", "cost": 1.5}
