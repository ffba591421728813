// Caddy with OPA inside: a handler that evaluates Rego over the whole request, as a team would write it that has Caddy
// already. It is measured beside the sidecar by `npm run bench:peers`.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"github.com/open-policy-agent/opa/v1/rego"
)

func init() { caddy.RegisterModule(Policy{}) }

func main() { caddycmd.Main() }

// Policy lets a request pass where the query is true of its headers and its JSON body.
type Policy struct {
	File  string `json:"file"`
	Query string `json:"query"`

	prepared rego.PreparedEvalQuery
}

const largestBody = 32 << 20

func (Policy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.opa", New: func() caddy.Module { return new(Policy) }}
}

func (p *Policy) Provision(ctx caddy.Context) error {
	source, err := os.ReadFile(p.File)
	if err != nil {
		return err
	}
	p.prepared, err = rego.New(rego.Query(p.Query), rego.Module(p.File, string(source))).PrepareForEval(ctx)
	return err
}

func (p *Policy) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestBody))
	if err != nil {
		return caddyhttp.Error(http.StatusRequestEntityTooLarge, err)
	}
	var parsed any
	if err := json.Unmarshal(body, &parsed); err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	input := map[string]any{"method": r.Method, "path": r.URL.Path, "authorization": r.Header.Get("Authorization"), "body": parsed}
	result, err := p.prepared.Eval(r.Context(), rego.EvalInput(input))
	if err != nil || !result.Allowed() {
		return caddyhttp.Error(http.StatusForbidden, err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return next.ServeHTTP(w, r)
}

var (
	_ caddy.Provisioner           = (*Policy)(nil)
	_ caddyhttp.MiddlewareHandler = (*Policy)(nil)
)
