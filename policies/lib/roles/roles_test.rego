package opallama.lib.roles_test

import data.opallama.lib.roles

test_any_of if {
	roles.any_of({"roles": ["a", "b"]}, ["b", "c"])
	roles.any_of({"roles": ["a", "b"]}, {"b"})
	not roles.any_of({"roles": ["a"]}, ["b"])
	not roles.any_of({"roles": []}, ["b"])
	not roles.any_of({}, ["b"])
	not roles.any_of({"roles": "b"}, ["b"])
	not roles.any_of({"roles": ["b"]}, "b")
	not roles.any_of({"roles": [null, 1]}, [null, 1])
}

test_all_of if {
	roles.all_of({"roles": ["a", "b"]}, ["b", "a"])
	not roles.all_of({"roles": ["a"]}, ["a", "b"])
	not roles.all_of({"roles": ["a"]}, [])
	not roles.all_of({}, ["a"])
	not roles.all_of({"roles": [1]}, [1])
}

includes := {"admin": ["developer"], "developer": ["analyst", "tester"], "x": ["y"], "y": ["x"]}

test_effective_with_what_is_included if {
	roles.effective({"roles": ["admin"]}, includes) == {"admin", "developer", "analyst", "tester"}
	roles.effective({"roles": ["analyst", "z"]}, includes) == {"analyst", "z"}
	roles.effective({"roles": ["x"]}, includes) == {"x", "y"}
	roles.effective({"roles": ["z", null]}, {}) == {"z"}
	roles.effective({}, includes) == set()
}

test_effective_none_where_malformed if {
	every malformed in [null, "admin", [], {"admin": "developer"}, {"admin": [1]}, {"other": null}] {
		roles.effective({"roles": ["admin"]}, malformed) == set()
	}
}
