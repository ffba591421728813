package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

type explanation struct {
	Defined     bool          `json:"defined"`
	Result      any           `json:"result,omitempty"`
	Error       string        `json:"error,omitempty"`
	Rules       []ruleReport  `json:"rules"`
	Evaluations []*evaluation `json:"evaluations"`
	// More was evaluated than is told of.
	Cut   bool   `json:"cut"`
	Trace string `json:"trace,omitempty"`
}

type ruleReport struct {
	Path     string `json:"path"`
	File     string `json:"file"`
	Row      int    `json:"row"`
	Column   int    `json:"column"`
	Text     string `json:"text"`
	Function bool   `json:"function"`
	Default  bool   `json:"default"`
	// How often it was entered, and how often it gave something.
	Asked int `json:"asked"`
	Held  int `json:"held"`
	// The content of the request may be in its values, which are therefore left out.
	Hidden bool `json:"hidden"`
}

// evaluation is one time that a rule was asked.
type evaluation struct {
	Rule     int       `json:"rule"`
	Held     bool      `json:"held"`
	Values   []shown   `json:"values"`
	Bindings []binding `json:"bindings"`
	Failures []failure `json:"failures"`

	reached  int
	calls    []int
	furthest []failure
}

// failure is an expression at which an evaluation ended; of several tries those that came furthest.
type failure struct {
	File     string    `json:"file"`
	Row      int       `json:"row"`
	Column   int       `json:"column"`
	Text     string    `json:"text"`
	Bindings []binding `json:"bindings"`
	// Evaluations of rules that the expression asked, or had asked before: indices.
	Calls []int `json:"calls"`
}

type binding struct {
	Name string `json:"name"`
	shown
}

// shown is a value, or the beginning of the text of one that is too large, or that there is none to be shown.
type shown struct {
	Value     json.RawMessage `json:"value,omitempty"`
	Cut       string          `json:"cut,omitempty"`
	Undefined bool            `json:"undefined,omitempty"`
	Hidden    bool            `json:"hidden,omitempty"`
}

const (
	mostEvaluations = 2000
	mostFailures    = 3
	mostValues      = 20
	mostEvents      = 50_000
	longestValue    = 2000
)

// explainPolicy evaluates one entrypoint with OPA's interpreter and says of each rule whether it held, or where it ended.
// Rules that an index would have passed over are evaluated too, since those are the ones that people ask about.
func explainPolicy(c call) (any, error) {
	parsed, err := parse(c.Modules)
	if err != nil {
		return nil, err
	}
	parsed = parsed.withoutTests()
	compiler, err := compileModules(parsed, c.Data)
	if err != nil {
		return nil, err
	}
	if len(c.Entrypoints) != 1 || !evaluable(compiler, c.Entrypoints[0]) {
		if _, err := chooseEntrypoints(compiler, c); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("one entrypoint is explained at a time")
	}
	ref, _ := refOf(c.Entrypoints[0])
	input, err := ast.InterfaceToValue(c.Input)
	if err != nil {
		return nil, err
	}
	watch := newWatch(parsed, compiler, c, input)
	options := []rego.EvalOption{
		rego.EvalParsedInput(input),
		rego.EvalQueryTracer(watch),
		rego.EvalRuleIndexing(false),
		rego.EvalEarlyExit(false),
	}
	if c.NowNs > 0 {
		options = append(options, rego.EvalTime(time.Unix(0, c.NowNs)))
	}
	ctx := context.Background()
	prepared, err := rego.New(rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(ref)))),
		rego.Compiler(compiler), rego.Store(store(c.Data))).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	out := explanation{}
	results, err := prepared.Eval(ctx, options...)
	switch {
	case err != nil:
		out.Error = err.Error()
	case len(results) > 0:
		out.Defined, out.Result = true, results[0].Expressions[0].Value
	}
	watch.finish()
	out.Rules, out.Evaluations, out.Cut = watch.reports, watch.evaluations, watch.cut
	if c.Trace {
		var text bytes.Buffer
		topdown.PrettyTraceWithOpts(&text, watch.events, topdown.PrettyTraceOptions{
			Locations: true, ExprVariables: len(c.Content) == 0})
		out.Trace = text.String()
	}
	return out, nil
}

// watch follows OPA's events. A query is a body that is evaluated: a rule's own, or one inside it (not, every, a
// comprehension), which belongs to the rule that it stands in.
type watch struct {
	compiler *ast.Compiler
	places   places
	world    world

	rules   map[*ast.Rule]int
	reports []ruleReport
	hidden  []bool

	queries     map[uint64]*query
	evaluations []*evaluation
	byPath      map[string][]int
	cut         bool

	keepEvents, content bool
	events              []*topdown.Event
	seen                uint32
}

type query struct {
	rule *ast.Rule
	own  bool
	eval int // index of the evaluation it belongs to, -1 for none
}

func newWatch(parsed modules, compiler *ast.Compiler, c call, input ast.Value) *watch {
	w := &watch{
		compiler:   compiler,
		places:     findPlaces(parsed),
		rules:      map[*ast.Rule]int{},
		queries:    map[uint64]*query{},
		byPath:     map[string][]int{},
		keepEvents: c.Trace,
		content:    len(c.Content) > 0,
	}
	base, err := ast.InterfaceToValue(c.Data)
	if err != nil || c.Data == nil {
		base = ast.NewObject()
	}
	w.world = world{input: input, data: base, content: c.Content, rules: map[string]*given{}}
	tainted := taintedRules(compiler, c.Content)
	for _, module := range modules(compiler.Modules).sorted() {
		for _, rule := range module.Rules {
			secret := tainted[rule]
			for ; rule != nil; rule = rule.Else {
				w.rules[rule] = len(w.reports)
				w.hidden = append(w.hidden, secret)
				report := ruleReport{
					Path:     slashed(rule.Ref().ConstantPrefix()),
					Function: len(rule.Head.Args) > 0,
					Default:  rule.Default,
					Hidden:   secret,
				}
				if at := rule.Loc(); at != nil {
					report.File, report.Row, report.Column = at.File, at.Row, at.Col
					report.Text = lineOf(c.Modules[at.File], at.Row)
				}
				w.reports = append(w.reports, report)
				if w.world.rules[report.Path] == nil {
					w.world.rules[report.Path] = &given{
						function: report.Function, several: rule.Head.RuleKind() == ast.MultiValue, hidden: secret}
				}
			}
		}
	}
	return w
}

func (w *watch) Enabled() bool { return true }

func (w *watch) Config() topdown.TraceConfig {
	return topdown.TraceConfig{PlugLocalVars: true}
}

func (w *watch) TraceEvent(event topdown.Event) {
	// One thread without preemption: nothing else would ever run.
	if w.seen++; w.seen%1024 == 0 {
		runtime.Gosched()
	}
	w.keep(event)
	rule, isRule := event.Node.(*ast.Rule)
	switch {
	case event.Op == topdown.EnterOp && isRule:
		w.enterRule(rule, event)
	case event.Op == topdown.EnterOp:
		w.enterBody(event)
	case event.Op == topdown.ExitOp && isRule:
		w.exitRule(rule, event)
	case event.Op == topdown.EvalOp:
		w.evalExpr(event)
	case event.Op == topdown.FailOp && !isRule:
		w.failExpr(event)
	}
}

func (w *watch) keep(event topdown.Event) {
	if !w.keepEvents {
		return
	}
	// These two are written with the values themselves.
	if w.content && (event.Op == topdown.UnifyOp || event.Op == topdown.NoteOp) {
		return
	}
	if len(w.events) >= mostEvents {
		w.cut = true
		return
	}
	w.events = append(w.events, &event)
}

func (w *watch) enterRule(rule *ast.Rule, event topdown.Event) {
	index, known := w.rules[rule]
	q := &query{rule: rule, own: true, eval: -1}
	w.queries[event.QueryID] = q
	if !known {
		return
	}
	w.reports[index].Asked++
	w.world.rules[w.reports[index].Path].asked = true
	if len(w.evaluations) >= mostEvaluations {
		w.cut = true
		return
	}
	q.eval = len(w.evaluations)
	w.evaluations = append(w.evaluations, &evaluation{
		Rule: index, Values: []shown{}, Bindings: []binding{}, Failures: []failure{}, reached: -1,
	})
	path := w.reports[index].Path
	w.byPath[path] = append(w.byPath[path], q.eval)
	if parent := w.evaluationOf(event.ParentID); parent != nil {
		parent.calls = append(parent.calls, q.eval)
	}
}

func (w *watch) evaluationOf(queryID uint64) *evaluation {
	if q := w.queries[queryID]; q != nil && q.eval >= 0 {
		return w.evaluations[q.eval]
	}
	return nil
}

func (w *watch) enterBody(event topdown.Event) {
	if _, known := w.queries[event.QueryID]; known {
		return
	}
	if parent := w.queries[event.ParentID]; parent != nil {
		w.queries[event.QueryID] = &query{rule: parent.rule, eval: parent.eval}
	}
}

func (w *watch) exitRule(rule *ast.Rule, event topdown.Event) {
	q := w.queries[event.QueryID]
	if q == nil {
		return
	}
	index, known := w.rules[rule]
	if !known {
		return
	}
	w.reports[index].Held++
	value := w.headValue(rule, index, event)
	if all := w.world.rules[w.reports[index].Path]; len(all.values) < mostValues {
		all.values = append(all.values, value)
	}
	if q.eval < 0 {
		return
	}
	e := w.evaluations[q.eval]
	if !e.Held {
		e.Bindings = w.bindings(rule, index, w.places.body(rule), event)
	}
	e.Held = true
	if len(e.Values) < mostValues {
		e.Values = append(e.Values, value)
	}
}

func (w *watch) headValue(rule *ast.Rule, index int, event topdown.Event) shown {
	term := rule.Head.Value
	if term == nil || rule.Head.RuleKind() == ast.MultiValue {
		term = rule.Head.Key
	}
	if w.hidden[index] {
		return shown{Hidden: true}
	}
	if term == nil {
		return show(ast.Boolean(true))
	}
	return show(event.Plug(term).Value)
}

func (w *watch) evalExpr(event topdown.Event) {
	if q := w.queries[event.QueryID]; q != nil && q.own && q.eval >= 0 {
		w.evaluations[q.eval].calls = nil
	}
}

func (w *watch) failExpr(event topdown.Event) {
	q := w.queries[event.QueryID]
	expr, ok := event.Node.(*ast.Expr)
	if !ok || q == nil || !q.own || q.eval < 0 {
		return
	}
	e := w.evaluations[q.eval]
	if e.Held || expr.Index < e.reached {
		return
	}
	if expr.Index > e.reached {
		e.reached, e.furthest = expr.Index, nil
	}
	if len(e.furthest) >= mostFailures {
		return
	}
	index := w.rules[q.rule]
	place := w.places.exprAt(q.rule, event.Location)
	f := failure{Bindings: []binding{}, Calls: slices.Clone(e.calls)}
	if f.Calls == nil {
		f.Calls = []int{}
	}
	if place.at != nil {
		f.File, f.Row, f.Column, f.Text = place.at.File, place.at.Row, place.at.Col, string(place.at.Text)
	}
	f.Bindings = w.bindings(q.rule, index, place.nodes, event)
	for _, path := range w.places.paths(q.rule, place.nodes) {
		asked := func(i int) bool { return w.reports[w.evaluations[i].Rule].Path == path }
		// What was asked before is remembered and not asked again.
		if !slices.ContainsFunc(f.Calls, asked) {
			known := w.byPath[path]
			f.Calls = append(f.Calls, known[:min(len(known), mostFailures)]...)
		}
	}
	e.furthest = append(e.furthest, f)
}

// finish keeps failures only of what did not hold in the end.
func (w *watch) finish() {
	for _, e := range w.evaluations {
		if !e.Held {
			e.Failures = append(e.Failures, e.furthest...)
		}
	}
	if w.evaluations == nil {
		w.evaluations = []*evaluation{}
	}
}

// bindings gives what stands in the source at nodes a value: variables, and what is read of the input, data and rules.
func (w *watch) bindings(rule *ast.Rule, index int, nodes []any, event topdown.Event) []binding {
	env := environment{}
	event.Locals.Iter(func(k, v ast.Value) bool {
		if name, ok := k.(ast.Var); ok {
			if meta, ok := event.LocalMetadata[name]; ok && !meta.Name.IsGenerated() && meta.Name != "" {
				env[meta.Name] = v
			}
		}
		return false
	})
	found := w.world.read(w.places.scope(rule), env, nodes, w.hidden[index])
	slices.SortStableFunc(found, func(a, b binding) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

func lineOf(text string, row int) string {
	lines := strings.Split(text, "\n")
	if row < 1 || row > len(lines) {
		return ""
	}
	return strings.TrimSpace(lines[row-1])
}

// show writes a value as JSON, a large one as the beginning of it.
func show(v ast.Value) shown {
	plain, err := ast.JSON(v)
	if err != nil {
		return shown{Cut: cutText(v.String())}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return shown{Cut: cutText(v.String())}
	}
	if len(text) > longestValue {
		return shown{Cut: cutText(string(text))}
	}
	return shown{Value: text}
}

func cutText(text string) string {
	runes := []rune(text[:min(len(text), longestValue)])
	return string(runes[:min(len(runes), 200)])
}
