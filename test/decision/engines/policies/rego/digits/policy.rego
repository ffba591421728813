package suite

default allow := false

allow if input.principal.claims.account in data.accounts

dynamic_metadata := {"account": input.principal.claims.account}
