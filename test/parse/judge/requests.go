package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
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
	"ollama.chat":     {handler(chat)},
	"ollama.generate": {handler(generate)},
	"openai.chat":     {middleware.ChatMiddleware(), handler(openaiChat)},
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

// resolve is what every handler does with a name before it looks for the model.
func resolve(part string, names ...string) (modelRef, error) {
	name := model.ParseName(cmp.Or(names...))
	if !name.IsValid() {
		return modelRef{}, fmt.Errorf("model %q is invalid", cmp.Or(names...))
	}
	return modelRef{Part: part, Full: fullName(name)}, nil
}
