package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/compile"
	"github.com/open-policy-agent/opa/v1/storage"
)

type compileResult struct {
	Entrypoints []string   `json:"entrypoints"`
	Inspection  inspection `json:"inspection"`
}

// What a WebAssembly policy can't be given: there is no network in wasip1, and no runtime to tell of.
var unavailable = map[string]string{
	"http.send":          "there is no network inside WebAssembly",
	"net.lookup_ip_addr": "there is no network inside WebAssembly",
	"opa.runtime":        "a WebAssembly policy runs without an OPA to tell of",
}

// compilePolicy leaves it to OPA's build to check the modules, which compiles them once more. Only for what it does not
// take are they compiled here: its faults are all of them, and come before others.
func compilePolicy(c call) (any, []byte, error) {
	parsed, err := parse(c.Modules)
	if err != nil {
		return nil, nil, err
	}
	parsed = parsed.withoutTests()
	result, wasm, err := buildPolicy(parsed, c)
	if err != nil {
		if _, fault := compileModules(parsed, c.Data); fault != nil {
			return nil, nil, fault
		}
		return nil, nil, err
	}
	return result, wasm, nil
}

func buildPolicy(parsed modules, c call) (any, []byte, error) {
	compiler, err := outlineModules(parsed, c.Data)
	if err != nil {
		return nil, nil, err
	}
	entrypoints, err := chooseEntrypoints(compiler, c)
	if err != nil {
		return nil, nil, err
	}
	if missing := unavailableBuiltins(parsed, always); len(missing) > 0 {
		return nil, nil, missing
	}
	report, err := inspect(parsed, compiler, c.Data, entrypoints)
	if err != nil {
		return nil, nil, err
	}
	wasm, err := buildWasm(parsed, entrypoints)
	if err != nil {
		return nil, nil, err
	}
	return compileResult{Entrypoints: entrypoints, Inspection: report}, wasm, nil
}

func chooseEntrypoints(compiler *ast.Compiler, c call) ([]string, error) {
	var chosen []string
	var missing faults
	for _, name := range c.Entrypoints {
		switch {
		case slices.Contains(chosen, name):
		case evaluable(compiler, name):
			chosen = append(chosen, name)
		default:
			missing = append(missing, fault{Code: "unknown_entrypoint", Message: fmt.Sprintf(
				"no rule or package is named %q; write package and rule with slashes, such as %s",
				name, strings.Join(examples(compiler), ", "))})
		}
	}
	if len(missing) > 0 {
		return nil, missing
	}
	for _, name := range c.OptionalEntrypoints {
		if !slices.Contains(chosen, name) && evaluable(compiler, name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return nil, faults{{Code: "unknown_entrypoint", Message: "at least one entrypoint is needed"}}
	}
	return chosen, nil
}

// evaluable tells whether a query for the entrypoint has a rule behind it. Functions have no value to ask for.
func evaluable(compiler *ast.Compiler, entrypoint string) bool {
	ref, ok := refOf(entrypoint)
	if !ok {
		return false
	}
	return slices.ContainsFunc(compiler.GetRules(ref), func(rule *ast.Rule) bool { return len(rule.Head.Args) == 0 })
}

func refOf(entrypoint string) (ast.Ref, bool) {
	path, ok := storage.ParsePath("/" + strings.TrimPrefix(entrypoint, "/"))
	if !ok || len(path) == 0 || slices.Contains(path, "") {
		return nil, false
	}
	return path.Ref(ast.DefaultRootDocument), true
}

func examples(compiler *ast.Compiler) []string {
	packages := packagePaths(compiler)
	if len(packages) == 0 {
		return []string{"ollama/authz"}
	}
	return packages[:min(len(packages), 5)]
}

func always(string) bool {
	return true
}

// unavailableBuiltins reports every use of what can't be had, as far as it is asked for.
func unavailableBuiltins(m modules, asked func(builtin string) bool) faults {
	var found faults
	for _, module := range m.sorted() {
		for _, use := range builtinUses(module) {
			if why, ok := unavailable[use.name]; ok && asked(use.name) {
				found = append(found, newFault("unsupported_builtin",
					fmt.Sprintf("%s: %s; use the opa engine for this policy", use.name, why), use.at))
			}
		}
	}
	return found
}

func buildWasm(m modules, entrypoints []string) ([]byte, error) {
	b := &bundle.Bundle{Data: map[string]any{}}
	b.SetRegoVersion(ast.RegoV1)
	b.Manifest.Init()
	for _, module := range m.sorted() {
		file := module.Package.Location.File
		// OPA formats what stays in the bundle, which nobody here reads: it gets something short for that.
		b.Modules = append(b.Modules, bundle.ModuleFile{URL: file, Path: file, Parsed: module, Raw: []byte("package unread")})
	}
	compiler := compile.New().
		WithTarget(compile.TargetWasm).
		WithRegoVersion(ast.RegoV1).
		WithEntrypoints(entrypoints...).
		WithBundle(b)
	if err := compiler.Build(context.Background()); err != nil {
		return nil, err
	}
	for _, module := range compiler.Bundle().WasmModules {
		return module.Raw, nil
	}
	return nil, errors.New("OPA's compiler gave no WebAssembly module")
}
