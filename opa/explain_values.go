package main

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// places finds what an author wrote: OPA's compiler renames variables and takes expressions apart, but keeps where they
// stood.
type places map[placeKey]writtenRule

type placeKey struct {
	file   string
	offset int
}

type writtenRule struct {
	rule  *ast.Rule
	scope scope
}

type scope struct {
	pkg     ast.Ref
	imports map[ast.Var]ast.Ref
	names   map[ast.Var]struct{}
}

type place struct {
	at    *ast.Location
	nodes []any
}

func findPlaces(parsed modules) places {
	out := places{}
	for _, module := range parsed {
		s := scope{pkg: module.Package.Path, imports: map[ast.Var]ast.Ref{}, names: map[ast.Var]struct{}{}}
		for _, i := range module.Imports {
			if ref, ok := i.Path.Value.(ast.Ref); ok {
				s.imports[i.Name()] = ref
			}
		}
		for _, other := range parsed {
			if !other.Package.Path.Equal(module.Package.Path) {
				continue
			}
			for _, rule := range other.Rules {
				if name, ok := rule.Head.Ref()[0].Value.(ast.Var); ok {
					s.names[name] = struct{}{}
				}
			}
		}
		for _, rule := range module.Rules {
			for ; rule != nil; rule = rule.Else {
				if at := rule.Loc(); at != nil {
					out[placeKey{at.File, at.Offset}] = writtenRule{rule, s}
				}
			}
		}
	}
	return out
}

func (p places) written(rule *ast.Rule) (writtenRule, bool) {
	at := rule.Loc()
	if at == nil {
		return writtenRule{}, false
	}
	w, ok := p[placeKey{at.File, at.Offset}]
	return w, ok
}

func (p places) scope(rule *ast.Rule) scope {
	w, _ := p.written(rule)
	return w.scope
}

// body is what a rule that held was made of: its arguments and its expressions.
func (p places) body(rule *ast.Rule) []any {
	w, ok := p.written(rule)
	if !ok {
		return nil
	}
	var nodes []any
	for _, arg := range w.rule.Head.Args {
		nodes = append(nodes, arg)
	}
	for _, expr := range w.rule.Body {
		nodes = append(nodes, expr)
	}
	return nodes
}

// exprAt is the expression of the rule's body that a place in it belongs to; the place itself in a head.
func (p places) exprAt(rule *ast.Rule, at *ast.Location) place {
	w, ok := p.written(rule)
	if !ok || at == nil {
		return place{at: at}
	}
	for _, expr := range w.rule.Body {
		from := expr.Loc()
		if from != nil && from.Offset <= at.Offset && at.Offset < from.Offset+max(len(from.Text), 1) {
			return place{from, []any{expr}}
		}
	}
	return place{at: at}
}

// paths names the rules that the nodes speak of, below data.
func (p places) paths(rule *ast.Rule, nodes []any) []string {
	s := p.scope(rule)
	var out []string
	walkRefs(nodes, func(ref ast.Ref) {
		if full := s.resolve(ref); full != nil && full[0].Equal(ast.DefaultRootDocument) {
			out = append(out, slashed(full.ConstantPrefix()))
		}
	})
	return out
}

// resolve takes imports and names of the package to what they stand for; nil for a local variable.
func (s scope) resolve(ref ast.Ref) ast.Ref {
	head, ok := ref[0].Value.(ast.Var)
	if !ok {
		return nil
	}
	if ast.RootDocumentNames.Contains(ref[0]) {
		return ref
	}
	if path, ok := s.imports[head]; ok {
		return path.Concat(ref[1:])
	}
	if _, ok := s.names[head]; ok {
		return s.pkg.Append(ast.StringTerm(string(head))).Concat(ref[1:])
	}
	return nil
}

// walkRefs visits references and, as references of one step, variables. The operators of calls are among them.
func walkRefs(nodes []any, visit func(ast.Ref)) {
	for _, node := range nodes {
		ast.NewGenericVisitor(func(x any) bool {
			switch x := x.(type) {
			case ast.Ref:
				visit(x)
				// What stands between the brackets, but not the head again.
				for _, step := range x[1:] {
					walkRefs([]any{step}, visit)
				}
				return true
			case ast.Var:
				visit(ast.Ref{ast.NewTerm(x)})
			}
			return false
		}).Walk(node)
	}
}

type environment map[ast.Var]ast.Value

// given is what the rules of one path have given so far.
type given struct {
	function, several, asked, hidden bool
	values                           []shown
}

// world is what values are looked up in.
type world struct {
	input   ast.Value
	data    ast.Value
	content []string
	rules   map[string]*given
}

// read gives each name that occurs in nodes its value, as it is now.
func (w *world) read(s scope, env environment, nodes []any, hidden bool) []binding {
	found := []binding{}
	seen := set{}
	walkRefs(nodes, func(ref ast.Ref) {
		b, ok := w.lookUp(s, env, ref, hidden)
		if _, twice := seen[b.Name]; ok && !twice {
			seen.add(b.Name)
			found = append(found, b)
		}
	})
	return found
}

func (w *world) lookUp(s scope, env environment, ref ast.Ref, hidden bool) (binding, bool) {
	head, ok := ref[0].Value.(ast.Var)
	if !ok || head.IsWildcard() {
		return binding{}, false
	}
	written, ground := plug(env, ref[1:])
	if !ground {
		return binding{}, false
	}
	name := ast.Ref{ref[0]}.Concat(written).String()
	if value, local := env[head]; local {
		if hidden {
			return binding{name, shown{Hidden: true}}, true
		}
		return binding{name, find(value, written)}, true
	}
	full := s.resolve(ast.Ref{ref[0]}.Concat(written))
	if len(full) < 2 {
		return binding{}, false
	}
	if full[0].Equal(ast.InputRootDocument) {
		if w.isContent(full[1]) {
			return binding{name, shown{Hidden: true}}, true
		}
		return binding{name, find(w.input, full[1:])}, true
	}
	if rule, steps := w.ruleAt(full); rule != nil {
		if rule.function || !rule.asked {
			return binding{}, false
		}
		return binding{ast.Ref{ref[0]}.Concat(written[:max(0, len(written)-steps)]).String(), rule.together()}, true
	}
	// A package is not a value that anybody looks for.
	for path := range w.rules {
		if strings.HasPrefix(path, slashed(full)+"/") {
			return binding{}, false
		}
	}
	return binding{name, find(w.data, full[1:])}, true
}

// ruleAt is the rule that a reference leads to, and how many steps it goes on behind it.
func (w *world) ruleAt(ref ast.Ref) (*given, int) {
	for length := len(ref); length > 1; length-- {
		if rule := w.rules[slashed(ref[:length])]; rule != nil && len(ref[:length].ConstantPrefix()) == length {
			return rule, len(ref) - length
		}
	}
	return nil, 0
}

func (w *world) isContent(member *ast.Term) bool {
	name, ok := member.Value.(ast.String)
	return !ok && len(w.content) > 0 || slices.Contains(w.content, string(name))
}

func (g *given) together() shown {
	switch {
	case g.hidden:
		return shown{Hidden: true}
	case len(g.values) == 0 && !g.several:
		return shown{Undefined: true}
	case !g.several:
		return g.values[len(g.values)-1]
	}
	all := make([]json.RawMessage, 0, len(g.values))
	for _, value := range g.values {
		if value.Value == nil {
			return shown{Cut: value.Cut}
		}
		if !slices.ContainsFunc(all, func(one json.RawMessage) bool { return string(one) == string(value.Value) }) {
			all = append(all, value.Value)
		}
	}
	text, err := json.Marshal(all)
	if err != nil || len(text) > longestValue {
		return shown{Cut: cutText(string(text))}
	}
	return shown{Value: text}
}

// plug puts values in the place of variables; false where one has none yet.
func plug(env environment, steps []*ast.Term) ([]*ast.Term, bool) {
	out := make([]*ast.Term, 0, len(steps))
	for _, step := range steps {
		if name, ok := step.Value.(ast.Var); ok {
			value, bound := env[name]
			if !bound {
				return nil, false
			}
			step = ast.NewTerm(value)
		}
		if !ast.IsConstant(step.Value) {
			return nil, false
		}
		out = append(out, step)
	}
	return out, true
}

func find(value ast.Value, steps []*ast.Term) shown {
	found, err := value.Find(ast.Ref(steps))
	if err != nil {
		return shown{Undefined: true}
	}
	return show(found)
}

// taintedRules are those whose values may hold content: they read it, or use a rule that does, or are functions that such
// a rule may have handed it to. Errs to too many.
func taintedRules(compiler *ast.Compiler, content []string) map[*ast.Rule]bool {
	tainted := map[*ast.Rule]bool{}
	if len(content) == 0 {
		return tainted
	}
	var rules []*ast.Rule
	for _, module := range compiler.Modules {
		rules = append(rules, module.Rules...)
	}
	for _, rule := range rules {
		tainted[rule] = readsContent(rule, content)
	}
	for changed := true; changed; {
		changed = false
		for _, rule := range rules {
			for other := range compiler.Graph.Dependencies(rule) {
				used, ok := other.(*ast.Rule)
				if !ok {
					continue
				}
				if tainted[used] && !tainted[rule] {
					tainted[rule], changed = true, true
				}
				if tainted[rule] && !tainted[used] && len(used.Head.Args) > 0 {
					tainted[used], changed = true, true
				}
			}
		}
	}
	return tainted
}

func readsContent(rule *ast.Rule, content []string) bool {
	found := false
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Var:
			found = found || isInput(x)
		case ast.Ref:
			if !isInput(x[0].Value) {
				return found
			}
			if len(x) < 2 {
				found = true
			} else if name, ok := x[1].Value.(ast.String); !ok || slices.Contains(content, string(name)) {
				found = true
			} else {
				for _, step := range x[1:] {
					found = found || readsContentIn(step, content)
				}
			}
			return true
		}
		return found
	}).Walk(rule)
	return found
}

func readsContentIn(term *ast.Term, content []string) bool {
	return readsContent(&ast.Rule{Head: &ast.Head{Value: term}}, content)
}
