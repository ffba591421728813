package main

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

type formatResult struct {
	Modules map[string]string `json:"modules"`
	Changed []string          `json:"changed"`
	Faults  []fault           `json:"faults"`
}

func formatModules(c call) (any, error) {
	out := formatResult{Modules: map[string]string{}, Changed: []string{}, Faults: []fault{}}
	for _, file := range slices.Sorted(maps.Keys(c.Modules)) {
		text := c.Modules[file]
		formatted, err := format.SourceWithOpts(file, []byte(text), format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			for _, f := range faultsOf(err) {
				if f.File == "" {
					f.File = file
				}
				out.Faults = append(out.Faults, f)
			}
			continue
		}
		out.Modules[file] = string(formatted)
		if string(formatted) != text {
			out.Changed = append(out.Changed, file)
		}
	}
	return out, nil
}
