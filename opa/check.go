package main

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

type schemas struct {
	Input any            `json:"input"`
	Named map[string]any `json:"named"`
}

type checkResult struct {
	Faults []fault `json:"faults"`
}

func checkPolicy(c call) (any, error) {
	parsed, err := parse(c.Modules)
	if err != nil {
		return checkResult{faultsOf(err)}, nil
	}
	compiler, done, err := newCompiler(c.Data)
	if err != nil {
		return nil, err
	}
	defer done()
	found, err := typeCheck(parsed, compiler, c)
	if err != nil {
		return nil, err
	}
	return checkResult{found}, nil
}

// typeCheck compiles with the schemas; where they only fault `package system`, again without them for the stages that
// follow. OPA reads that package's input by a contract of its own.
func typeCheck(parsed modules, compiler *ast.Compiler, c call) ([]fault, error) {
	set := ast.NewSchemaSet()
	if c.Schemas.Input != nil {
		set.Put(ast.SchemaRootRef, c.Schemas.Input)
		set.Put(ast.MustParseRef("schema.input"), c.Schemas.Input)
	}
	for name, schema := range c.Schemas.Named {
		set.Put(ast.SchemaRootRef.Append(ast.StringTerm(name)), schema)
	}
	compiler.WithUseTypeCheckAnnotations(true).WithSchemas(set).Compile(parsed)
	if !compiler.Failed() {
		return []fault{}, nil
	}
	errs := slices.DeleteFunc(slices.Clone(compiler.Errors), func(e *ast.Error) bool {
		return e.Code == ast.TypeErr && e.Location != nil && isSystem(parsed[e.Location.File])
	})
	if len(errs) > 0 {
		return faultsOfErrors(errs), nil
	}
	if _, err := compileModules(parsed, c.Data); err != nil {
		return faultsOf(err), nil
	}
	return []fault{}, nil
}

func isSystem(module *ast.Module) bool {
	return module != nil && module.Package.Path.HasPrefix(ast.MustParseRef("data.system"))
}
