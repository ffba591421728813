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

	"github.com/ollama/ollama/anthropic"
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
	case reflect.TypeFor[openai.ResponsesInput]():
		return map[string]any{"list": responsesItem(s)}
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
				members[name] = shape(memberType(t, field), s)
			}
		}
		return map[string]any{"struct": members}
	}
	return "free"
}

// memberType is the field's own type, or what its bytes are decoded into later (convertTool in both packages).
func memberType(t reflect.Type, field reflect.StructField) reflect.Type {
	switch {
	case t == reflect.TypeFor[openai.ResponsesTool]() && field.Name == "Parameters",
		t == reflect.TypeFor[anthropic.Tool]() && field.Name == "InputSchema":
		return reflect.TypeFor[api.ToolFunctionParameters]()
	}
	return field.Type
}

// responsesItem has the members of every struct that an element of the input can be decoded into.
func responsesItem(s seen) any {
	items := map[string]any{}
	for _, t := range []reflect.Type{
		reflect.TypeFor[openai.ResponsesInputMessage](), reflect.TypeFor[openai.ResponsesFunctionCall](),
		reflect.TypeFor[openai.ResponsesFunctionCallOutput](), reflect.TypeFor[openai.ResponsesReasoningInput](),
	} {
		add(items, t, s)
	}
	content := map[string]any{}
	for _, t := range []reflect.Type{
		reflect.TypeFor[openai.ResponsesTextContent](), reflect.TypeFor[openai.ResponsesImageContent](),
		reflect.TypeFor[openai.ResponsesOutputTextContent](),
	} {
		add(content, t, s)
	}
	items["content"] = map[string]any{"list": map[string]any{"struct": content}}
	return map[string]any{"struct": items}
}

func add(members map[string]any, t reflect.Type, s seen) {
	described, _ := shape(t, s).(map[string]any)["struct"].(map[string]any)
	for name, member := range described {
		members[name] = member
	}
}

// The handlers' own types are not exported (server/routes_aliases.go).
type (
	aliasEntry struct {
		Alias          string `json:"alias"`
		Target         string `json:"target"`
		PrefixMatching bool   `json:"prefix_matching,omitempty"`
	}
	aliasDeleteRequest struct {
		Alias string `json:"alias"`
	}
)

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
			"ollama.chat":         shape(reflect.TypeFor[api.ChatRequest](), seen{}),
			"ollama.generate":     shape(reflect.TypeFor[api.GenerateRequest](), seen{}),
			"ollama.embed":        shape(reflect.TypeFor[api.EmbedRequest](), seen{}),
			"ollama.embeddings":   shape(reflect.TypeFor[api.EmbeddingRequest](), seen{}),
			"ollama.show":         shape(reflect.TypeFor[api.ShowRequest](), seen{}),
			"ollama.pull":         shape(reflect.TypeFor[api.PullRequest](), seen{}),
			"ollama.push":         shape(reflect.TypeFor[api.PushRequest](), seen{}),
			"ollama.create":       shape(reflect.TypeFor[api.CreateRequest](), seen{}),
			"ollama.copy":         shape(reflect.TypeFor[api.CopyRequest](), seen{}),
			"ollama.delete":       shape(reflect.TypeFor[api.DeleteRequest](), seen{}),
			"ollama.alias":        shape(reflect.TypeFor[aliasEntry](), seen{}),
			"ollama.alias_delete": shape(reflect.TypeFor[aliasDeleteRequest](), seen{}),
			"openai.chat":         shape(reflect.TypeFor[openai.ChatCompletionRequest](), seen{}),
			"openai.completion":   shape(reflect.TypeFor[openai.CompletionRequest](), seen{}),
			"openai.embed":        shape(reflect.TypeFor[openai.EmbedRequest](), seen{}),
			"openai.responses":    shape(reflect.TypeFor[openai.ResponsesRequest](), seen{}),
			"openai.image":        shape(reflect.TypeFor[openai.ImageGenerationRequest](), seen{}),
			"openai.image_edit":   shape(reflect.TypeFor[openai.ImageEditRequest](), seen{}),
			"anthropic.messages":  shape(reflect.TypeFor[anthropic.MessagesRequest](), seen{}),
		},
	})
	if err != nil {
		panic(err)
	}
}
