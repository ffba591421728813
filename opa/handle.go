package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/open-policy-agent/opa/v1/util"
	"github.com/open-policy-agent/opa/v1/version"
)

// The members of every command in one struct: src/policy/toolchain/protocol.ts documents them.
type call struct {
	Command             string            `json:"command"`
	Modules             map[string]string `json:"modules"`
	Data                map[string]any    `json:"data"`
	Entrypoints         []string          `json:"entrypoints"`
	OptionalEntrypoints []string          `json:"optionalEntrypoints"`
	Schemas             schemas           `json:"schemas"`
	Coverage            bool              `json:"coverage"`
	TimeoutMs           int64             `json:"timeoutMs"`
	Input               any               `json:"input"`
	NowNs               int64             `json:"nowNs"`
	Content             []string          `json:"content"`
	Trace               bool              `json:"trace"`
	Run                 string            `json:"run"`
	DecisionNames       []string          `json:"decisionNames"`
	Libraries           []string          `json:"libraries"`
}

type answer struct {
	OK     bool    `json:"ok"`
	Result any     `json:"result,omitempty"`
	Faults []fault `json:"faults,omitempty"`
}

// handle answers one request with JSON and, for compile, the bytes of policy.wasm. It never panics: a panic that reached
// the host would leave the instance unusable.
func handle(request []byte) (head, body []byte) {
	result, body, err := run(request)
	if err == nil {
		if head, err = json.Marshal(answer{OK: true, Result: result}); err == nil {
			return head, body
		}
	}
	head, err = json.Marshal(answer{Faults: faultsOf(err)})
	if err != nil { // strings and numbers only; kept so that nothing can end without an answer
		head = []byte(`{"ok":false,"faults":[{"code":"toolchain_failed","message":"the answer could not be encoded"}]}`)
	}
	return head, nil
}

func run(request []byte) (result any, body []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			result, body = nil, nil
			err = fmt.Errorf("OPA's tool chain panicked: %v\n%s", r, debug.Stack())
		}
	}()
	var c call
	// OPA's own decoder keeps numbers as they are written.
	if err := util.UnmarshalJSON(request, &c); err != nil {
		return nil, nil, fmt.Errorf("request: %w", err)
	}
	switch c.Command {
	case "compile":
		return compilePolicy(c)
	case "load":
		result, err = loadPolicy(c)
		lastParsed = nil // this instance stays to evaluate
	case "check":
		result, err = checkPolicy(c)
	case "test":
		result, err = testPolicy(c)
	case "builtins":
		result = builtinsResult{Names: builtinNames(), Version: version.Version}
	case "format":
		result, err = formatModules(c)
	case "explain":
		result, err = explainPolicy(c)
	case "findings":
		result, err = findInPolicy(c)
	case "inspect":
		result, err = inspectPolicy(c)
	default:
		err = errors.New("unknown command " + c.Command)
	}
	return result, nil, err
}
