package main

import (
	"errors"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// fault is a PolicyFault of src/errors.ts; absent members are left out.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Row     int    `json:"row,omitempty"`
	Column  int    `json:"column,omitempty"`
}

// faults is an error that knows its places.
type faults []fault

func (f faults) Error() string {
	return "the policy has faults"
}

func newFault(code, message string, at *ast.Location) fault {
	f := fault{Code: code, Message: message}
	if at != nil {
		f.File, f.Row, f.Column = at.File, at.Row, at.Col
	}
	return f
}

func faultsOf(err error) []fault {
	var ours faults
	var many ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &many):
		return faultsOfErrors(many)
	case errors.As(err, &one):
		return faultsOfErrors(ast.Errors{one})
	}
	return []fault{{Code: "toolchain_failed", Message: err.Error()}}
}

func faultsOfErrors(errs ast.Errors) []fault {
	errs.Sort()
	out := make([]fault, 0, len(errs))
	for _, e := range errs {
		message := e.Message
		if e.Details != nil {
			message = strings.Join(append([]string{message}, e.Details.Lines()...), "\n\t")
		}
		out = append(out, newFault(e.Code, message, e.Location))
	}
	return out
}
