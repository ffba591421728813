package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/types/model"
)

// projection is what a policy is told of a request, read from what Ollama works with. test/parse/project.ts makes the same
// of the sidecar's input document. Absent members are zero values in both.
type projection struct {
	Models       []modelRef `json:"models"`
	Stream       bool       `json:"stream"`
	IncludeUsage bool       `json:"include_usage"`
	MessageCount int        `json:"message_count"`
	Messages     []message  `json:"messages"`
	Tools        []string   `json:"tools"`
	// Those that Ollama runs itself.
	ServerTools []string `json:"server_tools"`
	// Of the embedding routes.
	Inputs []string `json:"inputs"`
	// Where a model that is created forwards to.
	RemoteHost  string   `json:"remote_host"`
	Prompt      string   `json:"prompt"`
	Suffix      string   `json:"suffix"`
	System      string   `json:"system"`
	Template    string   `json:"template"`
	HasSystem   bool     `json:"has_system_prompt"`
	HasTemplate bool     `json:"has_template"`
	HasContext  bool     `json:"has_context"`
	Raw         bool     `json:"raw"`
	Debug       bool     `json:"debug"`
	Images      []string `json:"images"`
	ImageCount  int      `json:"image_count"`
	Options     any      `json:"options"`
	// Nanoseconds; absent where it is not set.
	KeepAlive *int64 `json:"keep_alive"`
	Format    any    `json:"format"`
	// 0: no limit.
	MaxTokens int `json:"max_tokens"`
	// Bytes of text that reach a template; the sidecar must not count fewer.
	TextBytes int `json:"text_bytes"`
}

type modelRef struct {
	Part string `json:"part"`
	Full string `json:"full"`
}

type message struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	Thinking   string     `json:"thinking"`
	Images     []string   `json:"images"`
	ToolCalls  []toolCall `json:"tool_calls"`
	ToolName   string     `json:"tool_name"`
	ToolCallID string     `json:"tool_call_id"`
}

type toolCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments any    `json:"arguments"`
}

// Beyond it a JavaScript number is no longer exact, and no limit is one.
const maxExact = 1<<53 - 1

func projectChat(req *api.ChatRequest) (*projection, error) {
	if req.TopLogprobs < 0 || req.TopLogprobs > 20 {
		return nil, fmt.Errorf("top_logprobs must be between 0 and 20")
	}
	name, err := resolve("model", req.Model)
	if err != nil {
		return nil, err
	}
	p := &projection{Models: []modelRef{name}, Debug: req.DebugRenderOnly, Stream: req.Stream == nil || *req.Stream}
	if err := p.addOptions(req.Options, req.KeepAlive); err != nil {
		return nil, err
	}
	if err := p.addFormat(req.Format); err != nil {
		return nil, err
	}
	p.MessageCount = len(req.Messages)
	for _, m := range req.Messages {
		p.addMessage(m)
	}
	p.addTools(req.Tools)
	return p, nil
}

func projectGenerate(req *api.GenerateRequest) (*projection, error) {
	if req.TopLogprobs < 0 || req.TopLogprobs > 20 {
		return nil, fmt.Errorf("top_logprobs must be between 0 and 20")
	}
	name, err := resolve("model", req.Model)
	if err != nil {
		return nil, err
	}
	p := &projection{
		Models: []modelRef{name}, Debug: req.DebugRenderOnly, Stream: req.Stream == nil || *req.Stream,
		Prompt: req.Prompt, Suffix: req.Suffix, System: req.System, Template: req.Template, Raw: req.Raw,
		HasSystem: req.System != "", HasTemplate: req.Template != "", HasContext: len(req.Context) > 0,
		Images: encodeImages(req.Images), ImageCount: len(req.Images),
		TextBytes: len(req.Prompt) + len(req.Suffix) + len(req.System) + len(req.Template),
	}
	if req.Prompt != "" {
		p.MessageCount = 1
	}
	if err := p.addOptions(req.Options, req.KeepAlive); err != nil {
		return nil, err
	}
	return p, p.addFormat(req.Format)
}

// ofModel adds what each of Ollama's own requests with a prompt has.
func (p *projection) ofModel(name string, options map[string]any, keepAlive *api.Duration) (*projection, error) {
	ref, err := resolve("model", name)
	if err != nil {
		return nil, err
	}
	p.Models = []modelRef{ref}
	err = p.addOptions(options, keepAlive)
	// Nothing is generated.
	p.MaxTokens = 0
	return p, err
}

func (p *projection) addMessage(m api.Message) {
	one := message{
		Role: m.Role, Content: m.Content, Thinking: m.Thinking, Images: encodeImages(m.Images),
		ToolName: m.ToolName, ToolCallID: m.ToolCallID,
	}
	p.TextBytes += len(m.Content) + len(m.Thinking) + len(m.ToolName)
	for _, call := range m.ToolCalls {
		arguments := map[string]any{}
		for key, value := range call.Function.Arguments.All() {
			arguments[key] = value
		}
		one.ToolCalls = append(one.ToolCalls, toolCall{call.ID, call.Function.Name, tagged(arguments)})
		p.TextBytes += len(call.Function.Name)
	}
	p.Messages = append(p.Messages, one)
	p.ImageCount += len(m.Images)
	// `developer` is for the model's template to read, and some read it as `system`.
	p.HasSystem = p.HasSystem || m.Role == "system" || m.Role == "developer"
}

func (p *projection) addTools(tools api.Tools) {
	for _, tool := range tools {
		p.Tools = append(p.Tools, tool.Function.Name)
		p.TextBytes += len(tool.Function.Name) + len(tool.Function.Description)
	}
}

// addOptions refuses what scheduleRunner does (server/routes.go, modelOptions).
func (p *projection) addOptions(options map[string]any, keepAlive *api.Duration) error {
	if keepAlive != nil {
		ns := keepAlive.Nanoseconds()
		p.KeepAlive = &ns
	}
	if options == nil {
		return nil
	}
	p.Options = tagged(options)
	read := api.Options{NumPredict: -1}
	if err := read.FromMap(options); err != nil {
		return err
	}
	if read.NumPredict > 0 && read.NumPredict <= maxExact {
		p.MaxTokens = read.NumPredict
	}
	return nil
}

// addFormat refuses what Completion does (llm/server.go).
func (p *projection) addFormat(format json.RawMessage) error {
	if len(format) == 0 || bytes.Equal(format, []byte(`null`)) || bytes.Equal(format, []byte(`""`)) {
		return nil
	}
	if format[0] != '{' && !bytes.Equal(format, []byte(`"json"`)) {
		return fmt.Errorf("invalid format")
	}
	var value any
	if err := json.Unmarshal(format, &value); err != nil {
		return err
	}
	p.Format = tagged(value)
	return nil
}

// tagged writes objects as lists of pairs: whoever parses it needs no trust in keys (nodejs/node issue 63785).
func tagged(value any) any {
	switch v := value.(type) {
	case map[string]any:
		pairs := make([][2]any, 0, len(v))
		for key, member := range v {
			pairs = append(pairs, [2]any{key, tagged(member)})
		}
		return map[string]any{"object": pairs}
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = tagged(element)
		}
		return list
	}
	return value
}

func encodeImages(images []api.ImageData) []string {
	var encoded []string
	for _, image := range images {
		encoded = append(encoded, encodeImage(image))
	}
	return encoded
}

func fullName(n model.Name) string {
	return strings.ToLower(n.Host + "/" + n.Namespace + "/" + n.Model + ":" + n.Tag)
}

func encodeImage(image api.ImageData) string {
	return base64.StdEncoding.EncodeToString(image)
}
