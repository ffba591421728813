package main

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// failing remembers which expression of each test failed last: of a body that is not true it is the one to look at. Tests
// run one after the other and an expression belongs to one test, so its place is enough to find it again.
type failing struct {
	events int
	last   map[testRow]failedExpr
}

type testRow struct {
	file string
	row  int
}

type failedExpr struct {
	event int
	text  string
}

type failedAt struct {
	Row  int    `json:"row"`
	Text string `json:"text"`
}

func newFailing() *failing {
	return &failing{last: map[testRow]failedExpr{}}
}

func (f *failing) note(event topdown.Event) {
	if event.Op != topdown.FailOp || event.Location == nil || !isTest(event.Location.File) {
		return
	}
	if _, ok := event.Node.(*ast.Expr); !ok {
		return
	}
	f.events++
	f.last[testRow{event.Location.File, event.Location.Row}] = failedExpr{f.events, string(event.Location.Text)}
}

// within gives the expression that failed last in the rule that begins at a place.
func (f *failing) within(module *ast.Module, at *ast.Location) *failedAt {
	if module == nil || at == nil {
		return nil
	}
	end := 1 << 30
	for _, rule := range module.Rules {
		if rule.Location != nil && rule.Location.Row > at.Row && rule.Location.Row < end {
			end = rule.Location.Row
		}
	}
	var found *failedAt
	latest := 0
	for row := at.Row; row < end && row <= at.Row+10_000; row++ {
		if one, ok := f.last[testRow{at.File, row}]; ok && one.event > latest {
			latest = one.event
			text, _, _ := strings.Cut(one.text, "\n")
			found = &failedAt{Row: row, Text: text}
		}
	}
	return found
}
