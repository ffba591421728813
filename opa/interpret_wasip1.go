package main

import "unsafe"

// The policy that the command `load` has loaded, over the buffers of exports_wasip1.go:
//
//	out = evaluate()           consumes what was allocated: entrypoint, clock, limit and input (interpret.go)
//	out: u32 outcome, u32 length, results or message

//go:wasmexport evaluate
func evaluateExport() unsafe.Pointer {
	outcome, answer := evaluate(request)
	return respond(outcome, uint32(len(answer)), answer, nil)
}
