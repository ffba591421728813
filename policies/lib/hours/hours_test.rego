package opallama.lib.hours_test

import data.opallama.lib.hours

at(text) := time.parse_rfc3339_ns(text)

# 2026-01-05 is a Monday; Berlin is an hour ahead of UTC in winter and two in summer.

office := {"zone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}

test_within_office_hours if {
	hours.within(at("2026-01-05T07:00:00Z"), office)
	hours.within(at("2026-01-05T16:59:59Z"), office)
	hours.within(at("2026-07-06T06:00:00Z"), office)
}

test_not_within_before_after_and_at_the_weekend if {
	every moment in ["2026-01-05T06:59:59Z", "2026-01-05T17:00:00Z", "2026-01-04T10:00:00Z", "2026-07-06T16:00:00Z"] {
		not hours.within(at(moment), office)
	}
}

# The day is that of the zone: late on Sunday in UTC is Monday in Tokyo.
test_day_is_that_of_the_zone if {
	window := {"zone": "Asia/Tokyo", "days": ["mon"]}
	hours.within(at("2026-01-04T15:00:00Z"), window)
	not hours.within(at("2026-01-05T15:00:00Z"), window)
}

night := {"zone": "UTC", "days": ["fri"], "from": "22:00", "to": "06:00"}

test_overnight_belongs_to_the_day_on_which_it_begins if {
	every moment in ["2026-01-09T22:00:00Z", "2026-01-09T23:59:59Z", "2026-01-10T00:00:00Z", "2026-01-10T05:59:59Z"] {
		hours.within(at(moment), night)
	}
	every moment in ["2026-01-09T05:00:00Z", "2026-01-09T21:59:59Z", "2026-01-10T06:00:00Z", "2026-01-10T22:30:00Z"] {
		not hours.within(at(moment), night)
	}
}

# The last Sunday of March has 23 hours in Berlin: 24 hours before Monday 00:30 it was Saturday there.
test_overnight_after_a_short_day if {
	window := {"zone": "Europe/Berlin", "days": ["sun"], "from": "22:00", "to": "06:00"}
	hours.within(at("2026-03-29T22:30:00Z"), window)
	not hours.within(at("2026-03-29T22:30:00Z"), object.union(window, {"days": ["sat"]}))
}

test_whole_days if {
	hours.within(at("2026-01-05T23:59:59Z"), {"zone": "UTC", "days": ["mon"]})
	hours.within(at("2026-01-05T23:59:59Z"), {"zone": "UTC", "days": ["mon"], "from": "00:00", "to": "24:00"})
	hours.within(at("2026-01-05T00:00:00Z"), {"zone": "UTC"})
	not hours.within(at("2026-01-06T00:00:00Z"), {"zone": "UTC", "days": ["mon"]})
	round := {"zone": "UTC", "days": ["mon"], "from": "06:00", "to": "06:00"}
	hours.within(at("2026-01-06T05:59:00Z"), round)
	not hours.within(at("2026-01-06T06:00:00Z"), round)
}

test_within_any if {
	hours.within_any(at("2026-01-05T07:00:00Z"), [night, office])
	not hours.within_any(at("2026-01-05T05:00:00Z"), [night, office])
	not hours.within_any(at("2026-01-05T07:00:00Z"), [])
	not hours.within_any(at("2026-01-05T07:00:00Z"), {"a": office})
	not hours.within_any(at("2026-01-05T07:00:00Z"), null)
}

test_not_within_a_malformed_window if {
	every window in [null, "always", [], {}, {"zone": "Europe/Atlantis"}, object.union(office, {"day": ["mon"]})] {
		count(hours.faults(window)) > 0
		not hours.within(at("2026-01-05T09:00:00Z"), window)
	}
	every now_ns in [null, "now", -1e300] {
		not hours.within(now_ns, office)
	}
}

test_faults_say_what_is_wrong if {
	hours.faults(office) == set()
	hours.faults({"zone": "UTC"}) == set()
	hours.faults(1) == {"it is no object"}
	hours.faults({"zone": "Local"}) == {"zone is no name of a time zone"}
	hours.faults({"zone": "", "form": "08:00"}) == {"zone is no name of a time zone", `the member "form" is unknown`}
	hours.faults({"zone": "UTC", "from": "08:00"}) == {"from and to go together"}
	every days in [[], "mon", ["Mon"], ["monday"], null, [1]] {
		hours.faults({"zone": "UTC", "days": days}) == {"days is no list of mon, tue, wed, thu, fri, sat and sun"}
	}
	every time in ["8:00", "24:01", "08:60", "0800", "08:00:00", 8, null, ""] {
		hours.faults({"zone": "UTC", "from": time, "to": "09:00"}) == {"from is no time from 00:00 to 24:00"}
	}
}
