package opallama.lib.globs_test

import data.opallama.lib.globs

test_matches_any_text_for_a_star if {
	every pattern in ["abc", "*", "**", "a*", "*c", "a*c", "*b*", "abc*", "*abc", "a**c"] {
		globs.matches(pattern, "abc")
	}
	every text in ["", "a/b", "a.b", "a b", "é😀", "a\nb"] {
		globs.matches("*", text)
		globs.matches("x*", concat("", ["x", text]))
	}
}

test_matches_not_where_both_ends_are_the_same_letters if {
	not globs.matches("ab*ba", "aba")
	not globs.matches_path("ab*ba", "aba")
	globs.matches("ab*ba", "abba")
	globs.matches_path("ab*ba", "abba")
	not globs.matches_path("a*a", "a/a")
	globs.matches("a*a", "a/a")
}

test_matches_not if {
	every pattern in ["", "ab", "b*", "*b", "a*b", "A*", "ABC", "*d*", "abcd*"] {
		not globs.matches(pattern, "abc")
	}
}

test_matches_nothing_by_other_wildcards if {
	every pattern in ["a?c", "a?*", "*?c", "[a]*", "*[c]", "{abc,x}*", "*{c,d}", `a\bc*`, "[!x]*", "*[a-c]"] {
		not globs.matches(pattern, "abc")
		not globs.matches_path(pattern, "abc")
	}
}

test_matches_those_characters_themselves if {
	every text in ["a?c", "[a]c", "{a,b}c", `a\c`, "a]c", "a!c", "a-c", "a,c", "^a$c", "a+c", "(a)c", "a|c"] {
		globs.matches(text, text)
		globs.matches(concat("", [text, "*"]), text)
		globs.matches(concat("", ["*", text]), text)
		globs.matches(concat("", ["*", text, "*"]), concat("", ["x", text, "\n"]))
		globs.matches_path(concat("", ["**", text, "*"]), concat("", ["x/", text, "\n"]))
		globs.matches_path(concat("", ["*", text]), text)
	}
}

test_matches_path_within_a_segment if {
	globs.matches_path("a/b", "a/b")
	globs.matches_path("a/*", "a/b")
	globs.matches_path("*/b", "a/b")
	globs.matches_path("**", "a/b")
	globs.matches_path("a**", "a/b")
	globs.matches_path("*", "ab")
	not globs.matches_path("*", "a/b")
	not globs.matches_path("a*", "a/b")
	not globs.matches_path("a/*", "a/b/c")
}

test_matches_nothing_that_is_no_text if {
	every value in [null, 1, true, [], {}, ["abc"]] {
		not globs.matches(value, "abc")
		not globs.matches("*", value)
		not globs.matches(value, value)
		not globs.matches_path(value, "abc")
		not globs.matches_path("*", value)
		not globs.matches_path(value, value)
		not globs.matches_any(value, "ab")
	}
}

test_matches_any_of_several if {
	globs.matches_any(["x", "a*"], "abc")
	globs.matches_any({"x", "a*"}, "abc")
	not globs.matches_any(["x", "b*"], "abc")
	not globs.matches_any([], "abc")
	not globs.matches_any("a*", "abc")
}

test_well_formed_lists_of_texts_only if {
	globs.well_formed(["a"])
	every value in [[], "a", null, 1, {"a": "b"}, [1], ["a", null]] {
		not globs.well_formed(value)
	}
}
