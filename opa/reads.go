package main

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is which top-level members of the input a policy reads. A member that is missing here is not built, so whatever
// could read another one without naming it must say all.
type reads struct {
	All     bool     `json:"all"`
	Members []string `json:"members"`
}

// readsOf looks at the modules as they were written: there every way to the input begins with the word `input`, imports
// included, and nothing has been folded into helper variables yet.
func readsOf(m modules) reads {
	all := false
	members := map[string]struct{}{}
	for _, module := range m {
		var visitor *ast.GenericVisitor
		visitor = ast.NewGenericVisitor(func(x any) bool {
			switch x := x.(type) {
			case ast.Var:
				// Without a step: a copy, an argument of walk or of a function.
				all = all || isInput(x)
			case *ast.Head:
				// The visitor knows the parts of a head, but not the reference that it is written as.
				for _, step := range x.Reference {
					visitor.Walk(step)
				}
			case *ast.With:
				if target, ok := x.Target.Value.(ast.Ref); ok && isInput(target[0].Value) {
					all = true
				}
			case ast.Ref:
				if !isInput(x[0].Value) {
					return false
				}
				if len(x) == 1 {
					all = true
				} else if name, ok := x[1].Value.(ast.String); ok {
					members[string(name)] = struct{}{}
				} else {
					all = true
				}
				for _, step := range x[1:] {
					visitor.Walk(step)
				}
				return true
			}
			return false
		})
		visitor.Walk(module)
	}
	return reads{All: all, Members: slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(members))))}
}

// withoutLogRules leaves out `package system.log` and what is below it, which is asked about events and not about requests:
// what it reads is no member of the input, and the clock that it looks at decides nothing. Where another module may refer
// to it, it is part of what decides.
func (m modules) withoutLogRules() modules {
	deciding := modules{}
	for file, module := range m {
		if !isLogRule(module) {
			deciding[file] = module
		}
	}
	if len(deciding) == len(m) {
		return m
	}
	for _, module := range deciding {
		if mayReferToSystem(module) {
			return m
		}
	}
	return deciding
}

func isLogRule(module *ast.Module) bool {
	path := module.Package.Path
	return len(path) > 2 && path[1].Equal(ast.StringTerm("system")) && path[2].Equal(ast.StringTerm("log"))
}

// mayReferToSystem errs to yes: `data` without a step, or with a step that is not a constant, may be anything.
func mayReferToSystem(module *ast.Module) bool {
	found := false
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Package:
			return true
		case ast.Var:
			found = found || isData(x)
		case *ast.Head:
			for _, step := range x.Reference {
				visitor.Walk(step)
			}
		case ast.Ref:
			if !isData(x[0].Value) {
				return false
			}
			if len(x) == 1 {
				found = true
			} else if name, ok := x[1].Value.(ast.String); !ok || name == "system" {
				found = true
			}
			for _, step := range x[1:] {
				visitor.Walk(step)
			}
			return true
		}
		return false
	})
	visitor.Walk(module)
	return found || len(module.Package.Path) > 1 && module.Package.Path[1].Equal(ast.StringTerm("system"))
}

func isData(v ast.Value) bool {
	return v.Compare(ast.DefaultRootDocument.Value) == 0
}

func isInput(v ast.Value) bool {
	return v.Compare(ast.InputRootDocument.Value) == 0
}

type builtinUse struct {
	name string
	at   *ast.Location
}

// builtinUses lists the built-ins that a module calls or puts in place of another function by `with`. Operators and what
// the parser writes for keywords (`in`, `some`) are not among them.
func builtinUses(module *ast.Module) []builtinUse {
	var uses []builtinUse
	note := func(operator *ast.Term) {
		ref, ok := operator.Value.(ast.Ref)
		if !ok {
			return
		}
		name := ref.String()
		b, ok := ast.BuiltinMap[name]
		if !ok || b.Infix != "" || ref[0].Equal(ast.VarTerm("internal")) {
			return
		}
		uses = append(uses, builtinUse{name, operator.Location})
	}
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Head:
			for _, step := range x.Reference {
				visitor.Walk(step)
			}
		case *ast.Expr:
			if x.IsCall() {
				note(x.OperatorTerm())
			}
		case ast.Call:
			note(x[0])
		case *ast.With:
			note(x.Value)
		}
		return false
	})
	visitor.Walk(module)
	return uses
}
