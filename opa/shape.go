package main

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	shapeRule     = "rule"
	shapeAllow    = "allow"
	shapeDenyList = "deny_list"
	shapeUnknown  = "unknown"
)

// shapeOf tells how an entrypoint answers. Only deny_list allows what no rule speaks of, so it is said only of a package
// whose own rules define `deny` while neither rules, packages below it nor data give it an `allow`.
func shapeOf(compiler *ast.Compiler, data map[string]any, entrypoint string) string {
	ref, ok := refOf(entrypoint)
	if !ok {
		return shapeUnknown
	}
	node := compiler.RuleTree.Find(ref)
	if node == nil {
		return shapeUnknown
	}
	if len(node.Values) > 0 {
		return shapeRule
	}
	for _, name := range []string{"allow", "allowed"} {
		if node.Child(ast.String(name)) != nil || inData(data, ref.Append(ast.StringTerm(name))) {
			return shapeAllow
		}
	}
	deny := node.Child(ast.String("deny"))
	if deny == nil {
		return shapeUnknown
	}
	own := slices.ContainsFunc(deny.Values, func(rule *ast.Rule) bool {
		return len(rule.Head.Args) == 0 && len(rule.Module.Package.Path) <= len(ref)
	})
	if !own {
		return shapeUnknown
	}
	return shapeDenyList
}

func inData(data map[string]any, ref ast.Ref) bool {
	var at any = data
	for _, step := range ref[1:] {
		object, ok := at.(map[string]any)
		if !ok {
			return false
		}
		if at, ok = object[string(step.Value.(ast.String))]; !ok {
			return false
		}
	}
	return true
}
