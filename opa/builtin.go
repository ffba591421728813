package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// What a call of a built-in came to. OPA evaluates WebAssembly without strict errors: an error of a built-in leaves its
// call undefined, and only a halt ends the evaluation (v1/topdown/eval.go, evalBuiltin.eval).
const (
	outcomeValue uint32 = iota
	outcomeUndefined
	outcomeHalt
)

// Compiled patterns, schemas and the like that are kept between decisions. Their keys are what callers may have written.
const keptValues = 1000

// decision is what the built-ins of one evaluation share: one clock reading, one cache.
var decision = newBuiltinContext(0)

var valueCache = newValueCache()

func newValueCache() cache.InterQueryValueCache {
	most := keptValues
	return cache.NewInterQueryValueCache(context.Background(), &cache.Config{
		InterQueryBuiltinValueCache: cache.InterQueryBuiltinValueCacheConfig{MaxNumEntries: &most},
	})
}

func newBuiltinContext(nowNs int64) topdown.BuiltinContext {
	capabilities := ast.CapabilitiesForThisVersion()
	// Empty and not nil: a schema that names a remote one must not be fetched, wherever this module runs.
	capabilities.AllowNet = []string{}
	return topdown.BuiltinContext{
		Context: context.Background(),
		Metrics: metrics.New(),
		// Keys are used with it (io.jwt.encode_sign): never a seed that could be known.
		Seed:                        rand.Reader,
		Time:                        ast.NumberTerm(json.Number(strconv.FormatInt(nowNs, 10))),
		Cancel:                      topdown.NewCancel(),
		Cache:                       make(builtins.Cache),
		InterQueryBuiltinValueCache: valueCache,
		NDBuiltinCache:              builtins.NDBCache{},
		Location:                    &ast.Location{},
		Capabilities:                capabilities,
	}
}

// beginDecision forgets what the last evaluation read and kept.
func beginDecision(nowNs int64) {
	decision.Time = ast.NumberTerm(json.Number(strconv.FormatInt(nowNs, 10)))
	decision.Cache = make(builtins.Cache)
	decision.NDBuiltinCache = builtins.NDBCache{}
}

// callBuiltin takes the name and the arguments as opa_value_dump writes them, each ended by a zero byte, which no dump
// holds. It answers with a value that opa_value_parse reads, or with a message. It never panics.
func callBuiltin(request []byte) (outcome uint32, answer []byte) {
	var name string
	defer func() {
		if r := recover(); r != nil {
			outcome, answer = outcomeHalt, fmt.Appendf(nil, "%s panicked: %v", name, r)
		}
	}()
	parts := bytes.Split(request, []byte{0})
	name = string(parts[0])
	f := topdown.GetBuiltin(name)
	if f == nil {
		return outcomeHalt, fmt.Appendf(nil, "%s is no built-in of this OPA", name)
	}
	args := make([]*ast.Term, 0, len(parts))
	for _, part := range parts[1 : len(parts)-1] {
		arg, err := readTerm(part)
		if err != nil {
			return outcomeHalt, fmt.Appendf(nil, "%s: argument %d: %v", name, len(args)+1, err)
		}
		args = append(args, arg)
	}
	var output *ast.Term
	err := f(decision, args, func(t *ast.Term) error {
		output = t
		return nil
	})
	var halt topdown.Halt
	switch {
	case errors.As(err, &halt):
		return outcomeHalt, []byte(halt.Error())
	case err != nil || output == nil:
		return outcomeUndefined, nil
	}
	answer, err = appendValue(nil, output.Value)
	if err != nil {
		return outcomeHalt, fmt.Appendf(nil, "%s: result: %v", name, err)
	}
	return outcomeValue, answer
}

type builtinsResult struct {
	Names   []string `json:"names"`
	Version string   `json:"version"`
}

// builtinNames lists what callBuiltin answers.
func builtinNames() []string {
	names := set{}
	for _, b := range ast.Builtins {
		if _, no := unavailable[b.Name]; !no && topdown.GetBuiltin(b.Name) != nil {
			names.add(b.Name)
		}
	}
	return names.sorted()
}
