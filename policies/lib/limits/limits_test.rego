package opallama.lib.limits_test

import data.opallama.lib.limits

all := {"prompt_bytes": 100, "estimated_tokens": 25, "message_count": 3, "image_count": 1, "max_tokens": 64}

request := {
	"operation": "chat", "prompt_bytes": 100, "estimated_tokens": 25,
	"message_count": 3, "image_count": 1, "max_tokens": 64,
}

test_fits_up_to_the_limit if {
	limits.fits(all) with input as request
	limits.fits({}) with input as request
	limits.fits({"image_count": 1}) with input as {"image_count": 0}
}

test_exceeded_by_one if {
	every member, limit in all {
		document := object.union(request, {member: limit + 1})
		not limits.fits(all) with input as document
		limits.exceeded(all) == {member} with input as document
	}
}

test_exceeded_where_the_member_is_absent if {
	every member, _ in all {
		every document in [object.remove(request, [member]), object.union(request, {member: "1"})] {
			limits.exceeded(all) == {member} with input as document
		}
	}
	limits.exceeded(all) == object.keys(all) with input as {}
}

test_max_tokens_do_not_bind_embeddings if {
	document := object.union(object.remove(request, ["max_tokens"]), {"operation": "embed"})
	limits.fits(all) with input as document
	limits.exceeded({"max_tokens": "64"}) == {"max_tokens"} with input as document
}

test_not_fits_malformed_limits if {
	every malformed in [null, 1, "none", [], [1]] {
		not limits.fits(malformed) with input as request
	}
	every malformed in [{"prompt_byte": 1000}, {"max_tokens": "1000"}, {"max_tokens": null}] {
		not limits.fits(malformed) with input as request
		limits.exceeded(malformed) == object.keys(malformed) with input as request
	}
}
