package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// findings is what a policy that compiles most likely does not mean. Each has a code; what it weighs is the host's to say.
type findings struct {
	found []fault
	seen  map[fault]struct{}
}

func (f *findings) add(code string, at *ast.Location, message string, args ...any) {
	one := newFault(code, fmt.Sprintf(message, args...), at)
	if _, ok := f.seen[one]; ok {
		return
	}
	f.seen[one] = struct{}{}
	f.found = append(f.found, one)
}

type findingsResult struct {
	Findings []fault `json:"findings"`
}

func findInPolicy(c call) (any, error) {
	parsed, err := parse(c.Modules)
	if err != nil {
		return nil, err
	}
	parsed = parsed.withoutTests()
	// The compiler rewrites what it is given; what people wrote is looked at in a second copy.
	written, err := parse(c.Modules)
	if err != nil {
		return nil, err
	}
	written = written.withoutTests()
	compiler, err := compileModules(parsed, c.Data)
	if err != nil {
		return nil, err
	}
	out := &findings{found: []fault{}, seen: map[fault]struct{}{}}
	input := schemaNode(c.Schemas.Input)
	for _, module := range written.sorted() {
		if isSystem(module) {
			continue
		}
		out.lookAtInput(module, input)
		out.lookAtBodies(module)
	}
	for _, entrypoint := range c.Entrypoints {
		out.lookAtNames(written, entrypoint, c.DecisionNames)
	}
	out.lookForUnreachable(compiler, c.Entrypoints, c.Libraries)
	if err := out.lookAtMetadata(written, c.Entrypoints); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out.found, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Column, b.Column))
	})
	return findingsResult{out.found}, nil
}

// rulesOf lists the rules of the package that an entrypoint names. An entrypoint that names a rule has none to look at:
// its package's other rules are no part of the decision.
func rulesOf(m modules, entrypoint string) []*ast.Rule {
	var rules []*ast.Rule
	for _, module := range m.sorted() {
		if slashed(module.Package.Path) == entrypoint {
			rules = append(rules, module.Rules...)
		}
	}
	return rules
}

func nameOf(rule *ast.Rule) string {
	if name, ok := rule.Head.Ref()[0].Value.(ast.Var); ok {
		return string(name)
	}
	return ""
}

// lookAtNames finds rules that nearly have a name by which a decision is read.
func (f *findings) lookAtNames(m modules, entrypoint string, known []string) {
	rules := rulesOf(m, entrypoint)
	there := set{}
	for _, rule := range rules {
		there.add(nameOf(rule))
	}
	told := set{}
	for _, rule := range rules {
		name := nameOf(rule)
		if _, ok := told[name]; ok || len(rule.Head.Args) > 0 || strings.HasPrefix(name, "_") || slices.Contains(known, name) {
			continue
		}
		meant := nearest(name, known)
		if meant == "" {
			continue
		}
		told.add(name)
		// Of a rule that nearly allows or denies it must be known that it does neither.
		decides := slices.Contains([]string{"allow", "allowed", "deny"}, meant)
		if _, ok := there[meant]; ok && !decides {
			f.add("near_rule_beside", rule.Location, "the rule %s means nothing to a decision, and is near to %s, which is there too", name, meant)
		} else {
			f.add("near_rule", rule.Location, "the rule %s means nothing to a decision; did you mean %s?", name, meant)
		}
	}
}

// lookForUnreachable finds rules that no entrypoint needs. Of a package that none needs, one finding is enough.
func (f *findings) lookForUnreachable(compiler *ast.Compiler, entrypoints, libraries []string) {
	if len(entrypoints) == 0 {
		return
	}
	reached := map[*ast.Rule]bool{}
	var reach func(rule *ast.Rule)
	reach = func(rule *ast.Rule) {
		if rule == nil || reached[rule] {
			return
		}
		reached[rule] = true
		reach(rule.Else)
		for dependency := range compiler.Graph.Dependencies(rule) {
			if next, ok := dependency.(*ast.Rule); ok {
				reach(next)
			}
		}
	}
	for _, entrypoint := range entrypoints {
		if ref, ok := refOf(entrypoint); ok {
			for _, rule := range compiler.GetRules(ref) {
				reach(rule)
			}
		}
	}
	type group struct {
		first   *ast.Rule
		reached bool
	}
	byPackage, byRule := map[string]*group{}, map[string]*group{}
	note := func(groups map[string]*group, key string, rule *ast.Rule) {
		one, ok := groups[key]
		if !ok {
			one = &group{first: rule}
			groups[key] = one
		}
		one.reached = one.reached || reached[rule]
	}
	for _, module := range modules(compiler.Modules).sorted() {
		path := slashed(module.Package.Path)
		isLibrary := slices.ContainsFunc(libraries, func(library string) bool {
			return path == library || strings.HasPrefix(path, library+"/")
		})
		if isSystem(module) || isLibrary {
			continue
		}
		for _, rule := range module.Rules {
			note(byPackage, path, rule)
			note(byRule, path+"/"+nameOf(rule), rule)
		}
	}
	for path, one := range byPackage {
		if !one.reached {
			f.add("unreachable", one.first.Module.Package.Location, "no entrypoint (%s) needs package %s", strings.Join(entrypoints, ", "), strings.ReplaceAll(path, "/", "."))
		}
	}
	for _, one := range byRule {
		if path := slashed(one.first.Module.Package.Path); !one.reached && byPackage[path].reached {
			f.add("unreachable", one.first.Location, "no entrypoint (%s) needs %s", strings.Join(entrypoints, ", "), nameOf(one.first))
		}
	}
}

// nearest gives the candidate that a slip of the pen may have meant, or nothing. Short names must differ by one letter
// at most: with two of them nearly everything is near.
func nearest(name string, candidates []string) string {
	allowed := 1
	if len(name) > 7 {
		allowed = 2
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	best, least := "", allowed+1
	for _, candidate := range candidates {
		distance := editDistance(name, candidate)
		if plain(name) == plain(candidate) {
			distance = min(distance, 1)
		}
		if distance < least || (distance == least && best != "" && candidate < best) {
			best, least = candidate, distance
		}
	}
	if len(name) < 3 {
		return ""
	}
	return best
}

// editDistance is Levenshtein's, two neighbours exchanged counting as one edit.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, previous, current := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(x); i++ {
		current[0] = i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			current[j] = min(previous[j-1]+change, previous[j]+1, current[j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(y)]
}
