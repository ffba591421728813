# METADATA
# title: Hours
# description: >-
#   Windows of time: {"zone": "Europe/Berlin", "days": ["mon", "tue"], "from": "22:00", "to": "06:00"}. "from" belongs to the
#   window and "to" does not. Where "to" is not after "from" the window ends on the next day, and "days" are those on which it
#   begins. Without "from" and "to" it is whole days, without "days" every day. A zone is a name of the IANA's database, or
#   "UTC", and must be there. Nothing is within a malformed window.
package opallama.lib.hours

# METADATA
# title: The moment is within the window
# description: The moment is input.now_ns, in nanoseconds since 1970.
within(now_ns, window) if {
	is_object(window)
	count(_slips(window)) == 0
	clock := time.format([now_ns, window.zone, "Mon15:04"])
	day := lower(substring(clock, 0, 3))
	_within(day, _minutes(substring(clock, 3, -1)), window)
}

# METADATA
# title: The moment is within one of the windows
within_any(now_ns, windows) if {
	is_array(windows)
	some window in windows
	within(now_ns, window)
}

# METADATA
# scope: document
# title: What is wrong with a window
# description: A set of sentences, empty where it is well-formed. For a test of one's own over data.
faults(window) := {"it is no object"} if {
	not is_object(window)
} else := {fault | some fault in _slips(window)} | {fault |
	fault := "zone is no name of a time zone"
	not _is_zone(object.get(window, "zone", null))
}

# All but whether there is such a zone, which the clock itself says.
_slips(window) := _unknown(window) | {fault |
	some fault, value in {
		"zone is no name of a time zone": _is_name(object.get(window, "zone", null)),
		"days is no list of mon, tue, wed, thu, fri, sat and sun": _are_days(object.get(window, "days", _week)),
		"from is no time from 00:00 to 24:00": _is_time(object.get(window, "from", "00:00")),
		"to is no time from 00:00 to 24:00": _is_time(object.get(window, "to", "00:00")),
		"from and to go together": count(object.keys(window) & {"from", "to"}) != 1,
	}
	not value
}

_unknown(window) := {fault |
	some name, _ in window
	not name in {"zone", "days", "from", "to"}
	fault := concat("", ["the member ", json.marshal(name), " is unknown"])
}

# A moment in the zone, to see whether there is such a zone: the lookup fails where there is none.
_is_zone(zone) if {
	_is_name(zone)
	time.clock([0, zone])
}

# OPA takes these two for the zone of the machine, or for UTC.
default _is_name(_) := false

_is_name(zone) if {
	is_string(zone)
	not zone in {"", "Local"}
}

default _are_days(_) := false

_are_days(days) if {
	is_array(days)
	count(days) > 0
	every day in days {
		day in _week
	}
}

_week := ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

# By name and not by a day's length: days on which clocks are changed have 23 or 25 hours.
_yesterday := {
	"mon": "sun", "tue": "mon", "wed": "tue", "thu": "wed",
	"fri": "thu", "sat": "fri", "sun": "sat",
}

default _is_time(_) := false

_is_time(text) if _minutes(text) >= 0

_minutes(text) := (to_number(hours) * 60) + to_number(minutes) if {
	regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$`, text)
	[hours, minutes] := split(text, ":")
}

_minutes("24:00") := 1440

_within(day, now, window) if {
	_from(window) < _to(window)
	day in _days(window)
	now >= _from(window)
	now < _to(window)
}

_within(day, now, window) if {
	_from(window) >= _to(window)
	day in _days(window)
	now >= _from(window)
}

_within(day, now, window) if {
	_from(window) >= _to(window)
	_yesterday[day] in _days(window)
	now < _to(window)
}

_from(window) := _minutes(object.get(window, "from", "00:00"))

_to(window) := _minutes(object.get(window, "to", "24:00"))

_days(window) := object.get(window, "days", _week)
