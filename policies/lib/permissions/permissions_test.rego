package opallama.lib.permissions_test

import data.opallama.lib.permissions

reader := {"permissions": ["web:read"]}

writer := {"permissions": ["other", "web:write"]}

test_reading_is_granted_by_read_only if {
	every operation in permissions.reading {
		permissions.granted(reader, operation)
		not permissions.granted(writer, operation)
	}
}

test_generating_is_granted_by_write_only if {
	every operation in permissions.generating {
		permissions.granted(writer, operation)
		not permissions.granted(reader, operation)
	}
}

test_management_is_granted_by_none if {
	both := {"permissions": ["web:read", "web:write"]}
	every operation in ["models.pull", "models.delete", "blobs.create", "account.show", "something.new", ""] {
		not permissions.granted(both, operation)
	}
}

test_nothing_is_granted_where_anything_is_missing_or_malformed if {
	every principal in [
		{}, null, {"permissions": []}, {"permissions": null}, {"permissions": "web:write"}, {"permissions": [1, null]},
		{"permissions": ["web:writer", "WEB:WRITE", "web:*", "*"]}, {"roles": ["web:write"]},
	] {
		not permissions.granted(principal, "chat")
	}
	not permissions.granted(writer, null)
}

test_meanings_of_ones_own if {
	meanings := {"ask": ["chat"], "embed": {"embed"}}
	permissions.granted_by(meanings, {"permissions": ["ask"]}, "chat")
	permissions.granted_by(meanings, {"permissions": ["ask", "embed"]}, "embed")
	not permissions.granted_by(meanings, {"permissions": ["ask"]}, "embed")
	not permissions.granted_by(meanings, {"permissions": ["web:write"]}, "chat")
	not permissions.granted_by({"ask": "chat"}, {"permissions": ["ask"]}, "chat")
	not permissions.granted_by({"ask": null}, {"permissions": ["ask"]}, "chat")
}

test_needed if {
	permissions.needed("chat") == {"web:write"}
	permissions.needed("models.list") == {"web:read"}
	permissions.needed("models.pull") == set()
}
