package main

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/version"
)

type inspection struct {
	OpaVersion               string            `json:"opaVersion"`
	Reads                    reads             `json:"reads"`
	Shapes                   map[string]string `json:"shapes"`
	Packages                 []string          `json:"packages"`
	Rules                    []string          `json:"rules"`
	DeclaredEntrypoints      []string          `json:"declaredEntrypoints"`
	Codes                    []string          `json:"codes"`
	Annotations              []annotation      `json:"annotations"`
	Builtins                 []string          `json:"builtins"`
	NondeterministicBuiltins []string          `json:"nondeterministicBuiltins"`
}

type annotation struct {
	Scope       string         `json:"scope"`
	Path        string         `json:"path"`
	File        string         `json:"file"`
	Row         int            `json:"row"`
	Title       string         `json:"title,omitempty"`
	Description string         `json:"description,omitempty"`
	Entrypoint  bool           `json:"entrypoint"`
	Custom      map[string]any `json:"custom"`
}

func inspectPolicy(c call) (any, error) {
	parsed, err := parse(c.Modules)
	if err != nil {
		return nil, err
	}
	parsed = parsed.withoutTests()
	compiler, err := compileModules(parsed, c.Data)
	if err != nil {
		return nil, err
	}
	return inspect(parsed, compiler, c.Data, c.Entrypoints)
}

func inspect(m modules, compiler *ast.Compiler, data map[string]any, entrypoints []string) (inspection, error) {
	deciding := m.withoutLogRules()
	out := inspection{
		OpaVersion: version.Version,
		Reads:      readsOf(deciding),
		Shapes:     map[string]string{},
		Packages:   packagePaths(compiler),
		Rules:      rulePaths(compiler),
	}
	for _, name := range entrypoints {
		out.Shapes[name] = shapeOf(compiler, data, name)
	}
	builtins, moody := set{}, set{}
	for _, module := range deciding {
		for _, use := range builtinUses(module) {
			builtins.add(use.name)
			if ast.BuiltinMap[use.name].Nondeterministic {
				moody.add(use.name)
			}
		}
	}
	out.Builtins, out.NondeterministicBuiltins = builtins.sorted(), moody.sorted()

	var err error
	if out.Annotations, err = annotationsOf(m); err != nil {
		return inspection{}, err
	}
	codes, declared := set{}, set{}
	for _, a := range out.Annotations {
		if code, ok := a.Custom["code"].(string); ok {
			codes.add(code)
		}
		if a.Entrypoint {
			declared.add(a.Path)
		}
	}
	out.Codes, out.DeclaredEntrypoints = codes.sorted(), declared.sorted()
	return out, nil
}

func annotationsOf(m modules) ([]annotation, error) {
	found, errs := ast.BuildAnnotationSet(m.sorted())
	if len(errs) > 0 {
		return nil, errs
	}
	out := []annotation{}
	for _, ref := range found.Flatten() {
		a := ref.Annotations
		one := annotation{
			Scope:       a.Scope,
			Path:        slashed(ref.Path),
			Title:       a.Title,
			Description: a.Description,
			Entrypoint:  a.Entrypoint,
			Custom:      a.Custom,
		}
		if one.Custom == nil {
			one.Custom = map[string]any{}
		}
		if at := a.Loc(); at != nil {
			one.File, one.Row = at.File, at.Row
		}
		out = append(out, one)
	}
	return out, nil
}

func packagePaths(compiler *ast.Compiler) []string {
	paths := set{}
	for _, module := range compiler.Modules {
		paths.add(slashed(module.Package.Path))
	}
	return paths.sorted()
}

func rulePaths(compiler *ast.Compiler) []string {
	paths := set{}
	for _, module := range compiler.Modules {
		for _, rule := range module.Rules {
			if len(rule.Head.Args) == 0 {
				paths.add(slashed(rule.Ref().GroundPrefix()))
			}
		}
	}
	return paths.sorted()
}

// slashed writes a reference below data as an entrypoint, as far as it is constant.
func slashed(ref ast.Ref) string {
	path, err := storage.NewPathForRef(ref.ConstantPrefix())
	if err != nil || len(path) == 0 {
		return ""
	}
	return path.String()[1:]
}

type set map[string]struct{}

func (s set) add(x string) {
	s[x] = struct{}{}
}

func (s set) sorted() []string {
	return slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(s))))
}
