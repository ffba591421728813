package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// interpreted is a policy that is evaluated as it stands, by OPA's own interpreter. One instance of this module has one:
// whoever wants another one starts another instance, and what breaks takes nothing else along.
type interpreted struct {
	compiler *ast.Compiler
	store    storage.Store
	queries  map[string]ast.Body
}

var policy *interpreted

// How an evaluation ended.
const (
	evaluated uint32 = iota
	evaluationFailed
	evaluationTooLong
)

type loadResult struct {
	Entrypoints []string `json:"entrypoints"`
}

// loadPolicy makes the policy of the call the one that evaluate evaluates. Modules that are tests are left out.
func loadPolicy(c call) (any, error) {
	policy = nil
	parsed, err := parse(c.Modules)
	if err != nil {
		return nil, err
	}
	parsed = parsed.withoutTests()
	compiler, done, err := newCompiler(c.Data)
	if err != nil {
		return nil, err
	}
	defer done()
	capabilities := ast.CapabilitiesForThisVersion()
	// Empty and not nil: a schema that names a remote one is not fetched.
	capabilities.AllowNet = []string{}
	compiler.WithCapabilities(capabilities)
	if compiler.Compile(parsed); compiler.Failed() {
		return nil, compiler.Errors
	}
	if missing := unavailableBuiltins(parsed, isNetwork); len(missing) > 0 {
		return nil, missing
	}
	entrypoints, err := chooseEntrypoints(compiler, c)
	if err != nil {
		return nil, err
	}
	queries := map[string]ast.Body{}
	for _, name := range entrypoints {
		if queries[name], err = compileQuery(compiler, name); err != nil {
			return nil, err
		}
	}
	policy = &interpreted{compiler, store(c.Data), queries}
	return loadResult{Entrypoints: entrypoints}, nil
}

const resultVar = ast.Var("result")

func compileQuery(compiler *ast.Compiler, entrypoint string) (ast.Body, error) {
	ref, _ := refOf(entrypoint)
	return compiler.QueryCompiler().Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(resultVar), ast.NewTerm(ref))))
}

// evaluate takes an entrypoint, the clock reading in ns and the limit in ms (0: none) as text, each ended by a zero byte,
// and the input as JSON. It answers with a list of results as JSON, or with a message. It never panics.
func evaluate(request []byte) (outcome uint32, answer []byte) {
	defer func() {
		if r := recover(); r != nil {
			outcome, answer = evaluationFailed, fmt.Appendf(nil, "OPA's interpreter panicked: %v", r)
		}
	}()
	results, err := policy.evaluate(request)
	switch {
	case topdown.IsCancel(err):
		return evaluationTooLong, []byte("the policy did not decide within its limit")
	case err != nil:
		return evaluationFailed, []byte(err.Error())
	}
	return evaluated, results
}

func (p *interpreted) evaluate(request []byte) ([]byte, error) {
	parts := bytes.SplitN(request, []byte{0}, 4)
	if p == nil || len(parts) != 4 {
		return nil, errors.New("no policy is loaded")
	}
	query, ok := p.queries[string(parts[0])]
	if !ok {
		return nil, fmt.Errorf("there is no entrypoint %q", parts[0])
	}
	nowNs, err := strconv.ParseInt(string(parts[1]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("now_ns: %w", err)
	}
	limitMs, err := strconv.ParseInt(string(parts[2]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("limit: %w", err)
	}
	// OPA's own reader keeps numbers as they are written.
	input, err := ast.ValueFromReader(bytes.NewReader(parts[3]))
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	ctx := context.Background()
	txn, err := p.store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer p.store.Abort(ctx, txn)

	results := []any{}
	err = topdown.NewQuery(query).
		WithCompiler(p.compiler).
		WithStore(p.store).
		WithTransaction(txn).
		WithInput(ast.NewTerm(input)).
		WithTime(time.Unix(0, nowNs)).
		WithSeed(rand.Reader).
		WithCancel(startLimit(limitMs)).
		WithInterQueryBuiltinValueCache(valueCache).
		WithNDBuiltinCache(builtins.NDBCache{}).
		Iter(ctx, func(found topdown.QueryResult) error {
			value, err := ast.JSON(found[resultVar].Value)
			if err != nil {
				return err
			}
			results = append(results, value)
			return nil
		})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(results)
	return out.Bytes(), err
}

// limit ends an evaluation by the clock. WebAssembly has one thread: nobody else could.
type limit struct {
	until  time.Time
	asked  uint32
	passed bool
}

// asks between two looks at the clock
const asksBetween = 64

func startLimit(ms int64) topdown.Cancel {
	if ms <= 0 {
		return nil
	}
	return &limit{until: time.Now().Add(time.Duration(ms) * time.Millisecond)}
}

func (l *limit) Cancel() {
	l.passed = true
}

func (l *limit) Cancelled() bool {
	if l.asked++; !l.passed && l.asked%asksBetween == 0 {
		l.passed = time.Now().After(l.until)
	}
	return l.passed
}

func isNetwork(builtin string) bool {
	return builtin != "opa.runtime"
}
