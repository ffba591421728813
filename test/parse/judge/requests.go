package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
	"github.com/ollama/ollama/anthropic"
	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/middleware"
	"github.com/ollama/ollama/openai"
	"github.com/ollama/ollama/types/model"
)

// A handler binds as Ollama's does and gives what it then works with; nil and no error where it has answered itself.
type handler func(c *gin.Context, document []byte) (*projection, error)

// Ollama 0.17.4, server/routes.go: the handlers' first lines, and the middleware before them as it is. The handlers
// themselves can't be called: they need models, and their package needs a C compiler.
var requests = map[string][]any{
	"ollama.chat":         {handler(chat)},
	"ollama.generate":     {handler(generate)},
	"ollama.embed":        {handler(embed)},
	"ollama.embeddings":   {handler(embeddings)},
	"ollama.show":         {handler(show)},
	"ollama.pull":         {handler(pull)},
	"ollama.push":         {handler(push)},
	"ollama.create":       {handler(create)},
	"ollama.copy":         {handler(copyModel)},
	"ollama.delete":       {handler(remove)},
	"ollama.alias":        {handler(alias)},
	"ollama.alias_delete": {handler(removeAlias)},
	"openai.chat":         {middleware.ChatMiddleware(), handler(openaiChat)},
	"openai.completion":   {middleware.CompletionsMiddleware(), handler(openaiCompletion)},
	"openai.embed":        {middleware.EmbeddingsMiddleware(), handler(embed)},
	"openai.responses":    {middleware.ResponsesMiddleware(), handler(responses)},
	"openai.image":        {middleware.ImageGenerationsMiddleware(), handler(image)},
	"openai.image_edit":   {middleware.ImageEditsMiddleware(), handler(image)},
	"anthropic.messages":  {middleware.AnthropicMessagesMiddleware(), handler(messages)},
}

type judge struct {
	engine *gin.Engine
	// Of the document that is being read; one at a time.
	document []byte
	result   *projection
	refusal  string
}

func newJudge(name string) (*judge, error) {
	chain, ok := requests[name]
	if !ok {
		return nil, fmt.Errorf("no request type %q", name)
	}
	j := &judge{engine: gin.New()}
	var handlers []gin.HandlerFunc
	for _, one := range chain {
		switch h := one.(type) {
		case gin.HandlerFunc:
			handlers = append(handlers, h)
		case handler:
			handlers = append(handlers, func(c *gin.Context) {
				result, err := h(c, j.document)
				if err != nil {
					j.refusal = err.Error()
				} else {
					j.result = result
				}
			})
		}
	}
	j.engine.POST("/", handlers...)
	return j, nil
}

var target = &url.URL{Path: "/"}

func (j *judge) read(document []byte) ([]byte, error) {
	j.document, j.result, j.refusal = document, nil, ""
	request := &http.Request{
		Method: http.MethodPost, URL: target, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(document)), ContentLength: int64(len(document)),
	}
	j.engine.ServeHTTP(&answer{header: http.Header{}, said: &j.refusal}, request)
	if j.result == nil {
		return encode(map[string]string{"refused": j.refusal})
	}
	return encode(j.result)
}

func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return b.Bytes(), err
}

// answer keeps what middleware says where it answers itself.
type answer struct {
	header http.Header
	said   *string
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(int)     {}
func (a *answer) Write(b []byte) (int, error) {
	*a.said += string(b)
	return len(b), nil
}

// ChatHandler
func chat(c *gin.Context, _ []byte) (*projection, error) {
	var req api.ChatRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	return projectChat(&req)
}

// ChatMiddleware has put its own request in place of the client's; from the client's comes what only that one holds.
func openaiChat(c *gin.Context, document []byte) (*projection, error) {
	p, err := chat(c, document)
	if err != nil {
		return nil, err
	}
	var original openai.ChatCompletionRequest
	if err := binding.JSON.BindBody(document, &original); err != nil {
		return nil, err
	}
	p.MessageCount = len(original.Messages)
	p.IncludeUsage = original.StreamOptions != nil && original.StreamOptions.IncludeUsage
	return p, nil
}

// GenerateHandler
func generate(c *gin.Context, _ []byte) (*projection, error) {
	var req api.GenerateRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	return projectGenerate(&req)
}

func openaiCompletion(c *gin.Context, document []byte) (*projection, error) {
	p, err := generate(c, document)
	if err != nil {
		return nil, err
	}
	var original openai.CompletionRequest
	if err := binding.JSON.BindBody(document, &original); err != nil {
		return nil, err
	}
	p.IncludeUsage = original.StreamOptions != nil && original.StreamOptions.IncludeUsage
	return p, nil
}

// Whatever the handler would stream, ImageWriter writes once.
func image(c *gin.Context, document []byte) (*projection, error) {
	p, err := generate(c, document)
	if err == nil {
		p.Stream = false
	}
	return p, err
}

func responses(c *gin.Context, document []byte) (*projection, error) {
	p, err := chat(c, document)
	if err != nil {
		return nil, err
	}
	var original openai.ResponsesRequest
	if err := binding.JSON.BindBody(document, &original); err != nil {
		return nil, err
	}
	p.MessageCount = len(original.Input.Items)
	for _, text := range []string{original.Instructions, original.Input.Text} {
		if text != "" {
			p.MessageCount++
		}
	}
	return p, nil
}

func messages(c *gin.Context, document []byte) (*projection, error) {
	p, err := chat(c, document)
	if err != nil {
		return nil, err
	}
	var original anthropic.MessagesRequest
	if err := binding.JSON.BindBody(document, &original); err != nil {
		return nil, err
	}
	p.MessageCount = len(original.Messages)
	// What the middleware has put in the answer's place runs the search.
	if _, searches := c.Writer.(*middleware.WebSearchAnthropicWriter); searches {
		p.ServerTools = []string{"web_search"}
	}
	if slices.ContainsFunc(original.Tools, func(t anthropic.Tool) bool { return strings.HasPrefix(t.Type, "web_search") }) {
		// Its description is Ollama's own text.
		p.TextBytes = 0
	}
	// What is left without messages and tools is the system prompt, if any.
	original.Messages, original.Tools = nil, nil
	system, err := anthropic.FromMessagesRequest(original)
	if err != nil {
		return nil, err
	}
	p.MessageCount += len(system.Messages)
	return p, nil
}

// EmbedHandler
func embed(c *gin.Context, _ []byte) (*projection, error) {
	var req api.EmbedRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	p := &projection{}
	switch input := req.Input.(type) {
	case string:
		if input != "" {
			p.Inputs = []string{input}
		}
	case []any:
		for _, one := range input {
			text, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("invalid input type")
			}
			p.Inputs = append(p.Inputs, text)
		}
	default:
		if input != nil {
			return nil, fmt.Errorf("invalid input type")
		}
	}
	for _, text := range p.Inputs {
		p.TextBytes += len(text)
		if text != "" {
			p.MessageCount++
		}
	}
	return p.ofModel(req.Model, req.Options, req.KeepAlive)
}

// EmbeddingsHandler
func embeddings(c *gin.Context, _ []byte) (*projection, error) {
	var req api.EmbeddingRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	p := &projection{Prompt: req.Prompt, TextBytes: len(req.Prompt)}
	if req.Prompt != "" {
		p.MessageCount = 1
	}
	return p.ofModel(req.Model, req.Options, req.KeepAlive)
}

// ShowHandler
func show(c *gin.Context, _ []byte) (*projection, error) {
	var req api.ShowRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	return about(&nothing, part{"model", req.Model}, part{"name", req.Name})
}

// PullHandler
func pull(c *gin.Context, _ []byte) (*projection, error) {
	var req api.PullRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	return about(req.Stream, part{"model", req.Model}, part{"name", req.Name})
}

// PushHandler
func push(c *gin.Context, _ []byte) (*projection, error) {
	var req api.PushRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	return about(req.Stream, part{"model", req.Model}, part{"name", req.Name})
}

// DeleteHandler
func remove(c *gin.Context, _ []byte) (*projection, error) {
	var req api.DeleteRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	return about(&nothing, part{"model", req.Model}, part{"name", req.Name})
}

// CopyHandler
func copyModel(c *gin.Context, _ []byte) (*projection, error) {
	var req api.CopyRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	source, err := resolve("source", req.Source)
	if err != nil {
		return nil, err
	}
	destination, err := resolve("destination", req.Destination)
	return &projection{Models: []modelRef{source, destination}}, err
}

// CreateHandler
func create(c *gin.Context, _ []byte) (*projection, error) {
	var req api.CreateRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	p, err := about(req.Stream, part{"model", req.Model}, part{"name", req.Name})
	if err != nil {
		return nil, err
	}
	p.System, p.Template, p.HasSystem, p.HasTemplate = req.System, req.Template, req.System != "", req.Template != ""
	if req.From != "" {
		from, err := resolve("from", req.From)
		if err != nil {
			return nil, err
		}
		p.Models = append(p.Models, from)
	}
	if req.RemoteHost != "" {
		if p.RemoteHost, err = remoteHost(req.RemoteHost); err != nil {
			return nil, err
		}
	}
	p.MessageCount = len(req.Messages)
	p.TextBytes = len(req.System) + len(req.Template)
	for _, m := range req.Messages {
		p.addMessage(m)
	}
	// Checked only when the model is loaded, but then as options are.
	return p, p.addOptions(req.Parameters, nil)
}

// remoteHost reads a host out of an address as remoteURL in server/create.go does: by net/url, a scheme put before it.
func remoteHost(address string) (string, error) {
	if strings.HasPrefix(address, "/") {
		return "localhost", nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return strings.ToLower(cmp.Or(parsed.Hostname(), "localhost")), nil
}

// server/aliases.go, aliasEntry; it is not exported.
type aliasEntry struct {
	Alias          string `json:"alias"`
	Target         string `json:"target"`
	PrefixMatching bool   `json:"prefix_matching,omitempty"`
}

// CreateAliasHandler
func alias(c *gin.Context, _ []byte) (*projection, error) {
	var req aliasEntry
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	target, err := resolve("target", strings.TrimSpace(req.Target))
	if err != nil {
		return nil, err
	}
	name, err := resolve("alias", strings.TrimSpace(req.Alias))
	return &projection{Models: []modelRef{target, name}}, err
}

// server/routes_aliases.go, aliasDeleteRequest; it is not exported.
type aliasDeleteRequest struct {
	Alias string `json:"alias"`
}

// DeleteAliasHandler
func removeAlias(c *gin.Context, _ []byte) (*projection, error) {
	var req aliasDeleteRequest
	if err := c.ShouldBindJSON(&req); err != nil {
		return nil, err
	}
	name, err := resolve("alias", strings.TrimSpace(req.Alias))
	return &projection{Models: []modelRef{name}}, err
}

// What has no member `stream` and streams nothing.
var nothing = false

type part struct{ part, name string }

// about takes the first name that there is, as cmp.Or does in the handlers.
func about(stream *bool, parts ...part) (*projection, error) {
	p := &projection{Stream: stream == nil || *stream}
	for _, one := range parts {
		if one.name == "" {
			continue
		}
		name, err := resolve(one.part, one.name)
		p.Models = []modelRef{name}
		return p, err
	}
	return nil, fmt.Errorf("model is required")
}

// resolve is what every handler does with a name before it looks for the model.
func resolve(part, name string) (modelRef, error) {
	parsed := model.ParseName(name)
	if !parsed.IsValid() {
		return modelRef{}, fmt.Errorf("model %q is invalid", name)
	}
	return modelRef{Part: part, Full: fullName(parsed)}, nil
}
