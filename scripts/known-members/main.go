// Prints the members that Ollama knows of its request structs, as test/input/known-members.json holds them:
//
//	cd scripts/known-members && go run . > ../../test/input/known-members.json
//
// To follow a newer Ollama, raise its version in go.mod, run this, and let the test say what changed.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/openai"
)

type seen map[reflect.Type]bool

// shape is "free" where keys are exact or there are none, {"list": shape}, {"map": shape} or {"struct": {member: shape}};
// a struct inside of itself is {"again": name}.
func shape(t reflect.Type, s seen) any {
	if t.Kind() == reflect.Pointer {
		return shape(t.Elem(), s)
	}
	switch t {
	// These decode themselves; what they decode into is theirs to say, so it is said here.
	case reflect.TypeFor[api.ToolPropertiesMap]():
		return map[string]any{"map": shape(reflect.TypeFor[api.ToolProperty](), s)}
	case reflect.TypeFor[api.ToolCallFunctionArguments](), reflect.TypeFor[api.ThinkValue](),
		reflect.TypeFor[api.Duration](), reflect.TypeFor[api.PropertyType](), reflect.TypeFor[json.RawMessage](),
		reflect.TypeFor[api.ImageData]():
		return "free"
	}
	switch t.Kind() {
	case reflect.Slice:
		if of := shape(t.Elem(), s); of != "free" {
			return map[string]any{"list": of}
		}
	case reflect.Map:
		if of := shape(t.Elem(), s); of != "free" {
			return map[string]any{"map": of}
		}
	case reflect.Struct:
		if s[t] {
			return map[string]any{"again": t.Name()}
		}
		s[t] = true
		defer delete(s, t)
		members := map[string]any{}
		for _, field := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" && !field.Anonymous && field.IsExported() {
				name = field.Name
			}
			if name != "" && name != "-" {
				members[name] = shape(field.Type, s)
			}
		}
		return map[string]any{"struct": members}
	}
	return "free"
}

func main() {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == "github.com/ollama/ollama" {
				version = dependency.Version
			}
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(map[string]any{
		"ollama": version,
		"requests": map[string]any{
			"ollama.chat":     shape(reflect.TypeFor[api.ChatRequest](), seen{}),
			"ollama.generate": shape(reflect.TypeFor[api.GenerateRequest](), seen{}),
			"openai.chat":     shape(reflect.TypeFor[openai.ChatCompletionRequest](), seen{}),
		},
	})
	if err != nil {
		panic(err)
	}
}
