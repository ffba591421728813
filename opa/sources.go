package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

type modules map[string]*ast.Module

func isTest(file string) bool {
	return strings.HasSuffix(file, "_test.rego")
}

type parsedText struct {
	text   string
	module *ast.Module
}

// lastParsed has the modules of the last call: check, test and compile of one policy come one after the other, and of a
// policy that changes most files stay as they were.
var lastParsed map[string]parsedText

// parse reads every module as Rego v1 and reports the faults of all of them. The modules are the caller's own.
func parse(texts map[string]string) (modules, error) {
	parsed, now := make(modules, len(texts)), make(map[string]parsedText, len(texts))
	var errs ast.Errors
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		known, ok := lastParsed[file]
		if !ok || known.text != texts[file] {
			module, err := ast.ParseModuleWithOpts(file, texts[file], ast.ParserOptions{
				RegoVersion:       ast.RegoV1,
				ProcessAnnotation: true,
			})
			if err != nil {
				errs = append(errs, parseErrors(file, err)...)
				continue
			}
			known = parsedText{texts[file], module}
		}
		now[file] = known
		// A copy: OPA rewrites some of what it is given.
		parsed[file] = known.module.Copy()
	}
	lastParsed = now
	if len(errs) > 0 {
		return nil, errs
	}
	return parsed, nil
}

// parseErrors gives every fault a place: a file without any Rego has none of its own.
func parseErrors(file string, err error) ast.Errors {
	var many ast.Errors
	if errors.As(err, &many) {
		return many
	}
	message := err.Error()
	var one *ast.Error
	if errors.As(err, &one) {
		message = one.Message
	}
	return ast.Errors{ast.NewError(ast.ParseErr, ast.NewLocation(nil, file, 1, 1), "%v", message)}
}

func (m modules) withoutTests() modules {
	kept := modules{}
	for file, module := range m {
		if !isTest(file) {
			kept[file] = module
		}
	}
	return kept
}

// sorted orders the modules by file, so that no result depends on the order of a map.
func (m modules) sorted() []*ast.Module {
	out := make([]*ast.Module, 0, len(m))
	for _, file := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[file])
	}
	return out
}

func store(data map[string]any) storage.Store {
	if data == nil {
		data = map[string]any{}
	}
	return inmem.NewFromObject(data)
}

// newCompiler reports every fault instead of the first ten, and a rule that hides a base document as one.
func newCompiler(data map[string]any) (*ast.Compiler, func(), error) {
	ctx := context.Background()
	s := store(data)
	txn, err := s.NewTransaction(ctx)
	if err != nil {
		return nil, nil, err
	}
	compiler := ast.NewCompiler().
		SetErrorLimit(0).
		WithDefaultRegoVersion(ast.RegoV1).
		WithPathConflictsCheck(storage.NonEmpty(ctx, s, txn))
	return compiler, func() { s.Abort(ctx, txn) }, nil
}

func compileModules(m modules, data map[string]any) (*ast.Compiler, error) {
	return compileWithout(nil, m, data)
}

// These are the stages of OPA's compiler that the tree of rules needs, and the conflicts of that with itself and with data.
var outlineStages = []ast.StageID{
	ast.StageResolveRefs,
	ast.StageInitLocalVarGen,
	ast.StageRewriteRuleHeadRefs,
	ast.StageSetModuleTree,
	ast.StageSetRuleTree,
	ast.StageCheckRuleConflicts,
}

// outlineModules compiles as far as an inspection needs it, in a quarter of the time. What is wrong inside of rules shows
// only to compileModules.
func outlineModules(m modules, data map[string]any) (*ast.Compiler, error) {
	skipped := slices.DeleteFunc(ast.AllStages(), func(stage ast.StageID) bool {
		return slices.Contains(outlineStages, stage)
	})
	return compileWithout(skipped, m, data)
}

func compileWithout(skipped []ast.StageID, m modules, data map[string]any) (*ast.Compiler, error) {
	compiler, done, err := newCompiler(data)
	if err != nil {
		return nil, err
	}
	defer done()
	compiler.WithSkipStages(skipped...).Compile(m)
	if compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}
