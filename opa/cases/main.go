// Prints OPA's conformance cases as lines of JSON, read from the directory that is the argument by OPA's own loader. They
// are of the version that go.mod names and are not kept here.
package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/test/cases"
)

type line struct {
	cases.TestCase
	File string `json:"file"`
	// The input as a JSON document; one of sets or with keys that are no strings can't be written as one.
	HasInput      bool `json:"has_input"`
	InputIsNoJSON bool `json:"input_is_no_json"`
	TermInput     any  `json:"term_input,omitempty"`
}

func main() {
	root := os.Args[1]
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, c := range cases.MustLoad(root).Sorted().Cases {
		l := line{TestCase: c, HasInput: c.Input != nil || c.InputTerm != nil}
		l.File, _ = filepath.Rel(root, c.Filename)
		if c.InputTerm != nil {
			term := ast.MustParseTerm(*c.InputTerm)
			l.TermInput, l.InputIsNoJSON = asJSON(term.Value)
		}
		if err := out.Encode(l); err != nil {
			panic(err)
		}
	}
}

func asJSON(value ast.Value) (any, bool) {
	found := false
	ast.WalkTerms(ast.NewTerm(value), func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Set:
			found = true
		case ast.Object:
			for _, key := range v.Keys() {
				if _, ok := key.Value.(ast.String); !ok {
					found = true
				}
			}
		}
		return found
	})
	if found {
		return nil, true
	}
	document, err := ast.JSON(value)
	if err != nil {
		return nil, true
	}
	return document, false
}
