package main

import (
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// lookAtBodies finds rules that can't hold: a constant that is false, or two lines that contradict each other. Only what
// is certain counts: expressions with `with` are left out, and only constants are compared.
func (f *findings) lookAtBodies(module *ast.Module) {
	for _, rule := range module.Rules {
		for one := rule; one != nil; one = one.Else {
			if one.Default {
				continue
			}
			f.lookAtBody(nameOf(rule), one.Body)
		}
	}
}

// facts is what the lines of one body have said of a value so far.
type facts struct {
	equal, lower, upper      *ast.Term
	lowerClosed, upperClosed bool
	not                      []*ast.Term
	holds, fails             bool
}

func (f *findings) lookAtBody(rule string, body ast.Body) {
	known := map[string]*facts{}
	of := func(key string) *facts {
		if known[key] == nil {
			known[key] = &facts{}
		}
		return known[key]
	}
	contradict := func(expr *ast.Expr, subject string) {
		f.add("contradiction", expr.Location, "%s can't hold: this contradicts what the lines above say of %s", rule, subject)
	}
	for _, expr := range body {
		if len(expr.With) > 0 {
			continue
		}
		if value, ok := constantOf(expr); ok {
			if value == expr.Negated {
				f.add("never_holds", expr.Location, "%s can't hold: this is never true", rule)
			}
			continue
		}
		subject, operator, constant := comparison(expr)
		if subject == "" {
			continue
		}
		about := of(subject)
		if operator != "is" {
			line := of(statementOf(subject, operator, constant))
			if line.holds = true; line.fails {
				contradict(expr, subject)
			}
		}
		switch operator {
		case "is":
			if expr.Negated {
				about.fails = true
			} else {
				about.holds = true
			}
			if about.holds && about.fails || about.equal != nil && isFalse(about.equal) == about.holds {
				contradict(expr, subject)
			}
		case "==":
			if about.equal != nil && !about.equal.Equal(constant) {
				contradict(expr, subject)
			} else if contains(about.not, constant) || outside(about, constant) {
				contradict(expr, subject)
			} else if about.holds && isFalse(constant) || about.fails && !isFalse(constant) {
				contradict(expr, subject)
			}
			about.equal = constant
		case "!=":
			about.not = append(about.not, constant)
			if about.equal != nil && about.equal.Equal(constant) {
				contradict(expr, subject)
			}
		default:
			about.bound(operator, constant)
			if (about.equal != nil && outside(about, about.equal)) || about.isEmpty() {
				contradict(expr, subject)
			}
		}
	}
}

func contains(terms []*ast.Term, one *ast.Term) bool {
	for _, term := range terms {
		if term.Equal(one) {
			return true
		}
	}
	return false
}

func (a *facts) bound(operator string, constant *ast.Term) {
	closed := strings.HasSuffix(operator, "=")
	if operator[0] == '>' {
		if a.lower == nil || constant.Value.Compare(a.lower.Value) > 0 || (constant.Equal(a.lower) && !closed) {
			a.lower, a.lowerClosed = constant, closed
		}
	} else if a.upper == nil || constant.Value.Compare(a.upper.Value) < 0 || (constant.Equal(a.upper) && !closed) {
		a.upper, a.upperClosed = constant, closed
	}
}

func (a *facts) isEmpty() bool {
	if a.lower == nil || a.upper == nil {
		return false
	}
	order := a.lower.Value.Compare(a.upper.Value)
	return order > 0 || (order == 0 && !(a.lowerClosed && a.upperClosed))
}

func outside(a *facts, constant *ast.Term) bool {
	if a.lower != nil {
		if order := constant.Value.Compare(a.lower.Value); order < 0 || (order == 0 && !a.lowerClosed) {
			return true
		}
	}
	if a.upper != nil {
		if order := constant.Value.Compare(a.upper.Value); order > 0 || (order == 0 && !a.upperClosed) {
			return true
		}
	}
	return false
}

// constantOf gives the truth of a line that has no variable: `false`, `1 == 2`.
func constantOf(expr *ast.Expr) (value, ok bool) {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		if truth, ok := terms.Value.(ast.Boolean); ok {
			return bool(truth), true
		}
	case []*ast.Term:
		if len(terms) != 3 || !isScalar(terms[1]) || !isScalar(terms[2]) {
			return false, false
		}
		switch terms[0].String() {
		case "eq", "equal":
			return terms[1].Equal(terms[2]), true
		case "neq":
			return !terms[1].Equal(terms[2]), true
		}
	}
	return false, false
}

var operators = map[string]string{"eq": "==", "equal": "==", "neq": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
var mirrored = map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// comparison reads a line as "subject operator constant", or "subject is" for a reference alone. Within a body a variable
// has one value, so equal texts mean equal values.
func comparison(expr *ast.Expr) (subject, operator string, constant *ast.Term) {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		if isSubject(terms) {
			return terms.String(), "is", nil
		}
	case []*ast.Term:
		operator, ok := operators[terms[0].String()]
		if !ok || len(terms) != 3 {
			return "", "", nil
		}
		left, right := terms[1], terms[2]
		if isScalar(left) {
			left, right, operator = right, left, mirrored[operator]
		}
		if !isSubject(left) || !isScalar(right) {
			return "", "", nil
		}
		if !expr.Negated {
			return left.String(), operator, right
		}
		// `not x == 1` also holds where x is undefined, so it says nothing but that the very same line does not hold.
		return statementOf(left.String(), operator, right), "is", nil
	}
	return "", "", nil
}

func statementOf(subject, operator string, constant *ast.Term) string {
	return subject + " " + operator + " " + constant.String()
}

func isFalse(term *ast.Term) bool {
	return term.Equal(ast.BooleanTerm(false))
}

func isSubject(term *ast.Term) bool {
	switch value := term.Value.(type) {
	case ast.Var:
		return !value.IsWildcard()
	case ast.Ref:
		// Two `_` read the same and are two variables; a call may stand where a step does.
		for _, step := range value {
			switch step := step.Value.(type) {
			case ast.String, ast.Number:
			case ast.Var:
				if step.IsWildcard() {
					return false
				}
			default:
				return false
			}
		}
		return true
	}
	return false
}

func isScalar(term *ast.Term) bool {
	switch term.Value.(type) {
	case ast.String, ast.Number, ast.Boolean, ast.Null:
		return true
	}
	return false
}

// codePattern is what src/decision/narrow.ts takes for a code.
var codePattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// lookAtMetadata asks of every rule of an entrypoint who it is and which code it gives.
func (f *findings) lookAtMetadata(m modules, entrypoints []string) error {
	found, errs := ast.BuildAnnotationSet(m.sorted())
	if len(errs) > 0 {
		return errs
	}
	declared := set{}
	for _, one := range found.Flatten() {
		f.lookAtCustom(one.Annotations, declared)
	}
	for _, entrypoint := range entrypoints {
		told := set{}
		for _, rule := range rulesOf(m, entrypoint) {
			name := nameOf(rule)
			if len(rule.Head.Args) > 0 || strings.HasPrefix(name, "_") {
				continue
			}
			// Rules without METADATA of their own have that of the document, which is told of once.
			_, isTold := told[name]
			if isDocument := found.GetDocumentScope(rule.Ref().GroundPrefix()) != nil && len(found.GetRuleScope(rule)) == 0; !isDocument || !isTold {
				f.lookAtTitle(found, rule, name)
				if isDocument {
					told.add(name)
				}
			}
			if name == "deny" || name == "reasons" {
				f.lookAtReason(rule, name, declared)
			}
		}
	}
	return nil
}

func (f *findings) lookAtCustom(a *ast.Annotations, declared set) {
	if value, ok := a.Custom["code"]; ok {
		code, isText := value.(string)
		if !isText || !codePattern.MatchString(code) {
			f.add("metadata_malformed", a.Loc(), "custom.code is no code; write small letters, digits and _.- such as model_not_allowed")
		} else {
			declared.add(code)
		}
	}
	if value, ok := a.Custom["remediation"]; ok {
		if _, isText := value.(string); !isText {
			f.add("metadata_malformed", a.Loc(), "custom.remediation must be text")
		}
	}
	for name := range a.Custom {
		if meant := nearest(name, []string{"code", "remediation"}); meant != "" && meant != name {
			f.add("metadata_malformed", a.Loc(), "custom.%s means nothing; did you mean custom.%s?", name, meant)
		}
	}
}

func (f *findings) lookAtTitle(found *ast.AnnotationSet, rule *ast.Rule, name string) {
	var title, description bool
	note := func(a *ast.Annotations) {
		if a != nil {
			title, description = title || a.Title != "", description || a.Description != ""
		}
	}
	for _, one := range found.GetRuleScope(rule) {
		note(one)
	}
	note(found.GetDocumentScope(rule.Ref().GroundPrefix()))
	switch {
	case !title && !description:
		f.add("metadata_missing", rule.Location, "%s has no METADATA with a title and a description", name)
	case !title:
		f.add("metadata_missing", rule.Location, "%s has no title in its METADATA", name)
	case !description:
		f.add("metadata_missing", rule.Location, "%s has no description in its METADATA", name)
	}
}

func (f *findings) lookAtReason(rule *ast.Rule, name string, declared set) {
	if rule.Head.Key == nil {
		return
	}
	var code string
	switch value := rule.Head.Key.Value.(type) {
	case ast.String:
		if code = string(value); !codePattern.MatchString(code) {
			// Text for people, which is given as policy_denied.
			return
		}
	case ast.Object:
		member := value.Get(ast.StringTerm("code"))
		if member == nil {
			f.add("reason_malformed", rule.Location, "%s holds an object without \"code\", so that the decision is policy_malformed", name)
			return
		}
		text, ok := member.Value.(ast.String)
		if !ok {
			if isScalar(member) {
				f.add("reason_malformed", rule.Location, "%s holds %s as code, so that the decision is policy_malformed", name, member)
			}
			return
		}
		if code = string(text); !codePattern.MatchString(code) {
			f.add("reason_malformed", rule.Location, "%s holds the code %q, which is none: write small letters, digits and _.-", name, code)
			return
		}
	default:
		return
	}
	if _, ok := declared[code]; !ok {
		f.add("code_undeclared", rule.Location, "no METADATA declares the code %s (custom.code), so metrics count it as policy_denied", code)
	}
}
