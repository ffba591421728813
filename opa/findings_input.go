package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// schema is the part of a JSON Schema that a reference into the input can be followed through.
type schema map[string]any

func schemaNode(value any) schema {
	node, _ := value.(map[string]any)
	return node
}

func (s schema) properties() map[string]any {
	properties, _ := s["properties"].(map[string]any)
	return properties
}

// values gives the values that a member can have, where the schema lists them.
func (s schema) values() []any {
	values, _ := s["enum"].([]any)
	return values
}

// lookAtInput finds members of the input that there are not but nearly, and comparisons with values that a member never has.
func (f *findings) lookAtInput(module *ast.Module, input schema) {
	if input == nil {
		return
	}
	whole := aliasesOf(module)
	// A path of the schema for a reference; nil where it leaves what the schema lists.
	follow := func(ref ast.Ref, note func(name string, at *ast.Location, known []string, path string)) (schema, string) {
		steps, ok := fromInput(ref, whole)
		if !ok {
			return nil, ""
		}
		node, path := input, "input"
		for _, step := range steps {
			properties := node.properties()
			name, isName := step.Value.(ast.String)
			switch {
			case properties != nil && isName:
				next, ok := properties[string(name)]
				if !ok {
					note(string(name), ref[0].Location, slices.Sorted(maps.Keys(properties)), path)
					return nil, ""
				}
				node, path = schemaNode(next), path+"."+string(name)
			case properties == nil && node["items"] != nil:
				node, path = schemaNode(node["items"]), path+"[_]"
			default:
				return nil, ""
			}
		}
		return node, path
	}
	silent := func(string, *ast.Location, []string, string) {}

	compare := func(member, value *ast.Term, consequence string, at *ast.Location) {
		ref, ok := member.Value.(ast.Ref)
		if !ok {
			return
		}
		node, path := follow(ref, silent)
		allowed := node.values()
		if len(allowed) == 0 {
			return
		}
		for _, constant := range constantsOf(value) {
			if !slices.ContainsFunc(allowed, func(one any) bool { return constant.Value.Compare(ast.MustInterfaceToValue(one)) == 0 }) {
				code, hint := suggest(constant, allowed)
				f.add(code, at, "%s is never %s%s%s", path, constant, hint, consequence)
			}
		}
	}

	ast.WalkExprs(module, func(expr *ast.Expr) bool {
		terms, ok := expr.Terms.([]*ast.Term)
		if !ok || len(terms) != 3 {
			return false
		}
		switch name := terms[0].String(); name {
		case "eq", "equal", "neq":
			consequence := ": this never holds"
			if expr.Negated != (name == "neq") {
				consequence = ": this always holds"
			}
			compare(terms[1], terms[2], consequence, expr.Location)
			compare(terms[2], terms[1], consequence, expr.Location)
		case "internal.member_2":
			if isCollection(terms[2]) {
				compare(terms[1], terms[2], "", expr.Location)
			}
		}
		return false
	})
	visitor := ast.NewGenericVisitor(func(x any) bool {
		// Schemas are named after what they describe.
		if _, ok := x.(*ast.Annotations); ok {
			return true
		}
		ref, ok := x.(ast.Ref)
		if ok {
			follow(ref, func(name string, at *ast.Location, known []string, path string) {
				if meant := nearest(name, known); meant != "" {
					f.add("near_input", at, "there is no %s.%s; did you mean %s.%s?", path, name, path, meant)
				}
			})
		}
		return false
	})
	visitor.Walk(module)
}

// suggest gives the finding's code and a hint: a value that is near to one that can be is surely a slip.
func suggest(constant *ast.Term, allowed []any) (code, hint string) {
	text, ok := constant.Value.(ast.String)
	if !ok {
		return "impossible_value", ""
	}
	var known []string
	for _, one := range allowed {
		if name, ok := one.(string); ok {
			known = append(known, name)
		}
	}
	if meant := nearest(string(text), known); meant != "" {
		return "near_value", fmt.Sprintf(" (did you mean %q?)", meant)
	}
	if len(known) > 0 && len(known) <= 6 {
		return "impossible_value", fmt.Sprintf(" (it is one of %s)", strings.Join(known, ", "))
	}
	return "impossible_value", ""
}

func isCollection(term *ast.Term) bool {
	switch term.Value.(type) {
	case *ast.Array, ast.Set:
		return true
	}
	return false
}

// constantsOf gives a scalar, or the scalars of a set or array.
func constantsOf(term *ast.Term) []*ast.Term {
	var constants []*ast.Term
	add := func(one *ast.Term) {
		switch one.Value.(type) {
		case ast.String, ast.Number, ast.Boolean, ast.Null:
			constants = append(constants, one)
		}
	}
	switch value := term.Value.(type) {
	case *ast.Array:
		value.Foreach(add)
	case ast.Set:
		value.Foreach(add)
	default:
		add(term)
	}
	return constants
}

// aliasesOf gives what imports of the input are called in a module.
func aliasesOf(module *ast.Module) map[ast.Var]ast.Ref {
	aliases := map[ast.Var]ast.Ref{}
	for _, one := range module.Imports {
		if ref, ok := one.Path.Value.(ast.Ref); ok && isInput(ref[0].Value) && len(one.Name()) > 0 {
			aliases[one.Name()] = ref
		}
	}
	return aliases
}

func fromInput(ref ast.Ref, aliases map[ast.Var]ast.Ref) (ast.Ref, bool) {
	if isInput(ref[0].Value) {
		return ref[1:], true
	}
	if name, ok := ref[0].Value.(ast.Var); ok {
		if imported, ok := aliases[name]; ok {
			return append(slices.Clone(imported[1:]), ref[1:]...), true
		}
	}
	return nil, false
}
