package main

import (
	"encoding/binary"
	"unsafe"
)

// The protocol over linear memory, one call at a time:
//
//	in  = allocate(n)          the caller writes n bytes there
//	out = serve()              consumes what was allocated, JSON: a command of the tool chain
//	out: u32 length of JSON, u32 length of bytes, JSON, bytes   (little-endian)
//
//	begin(now)                 a decision begins: its clock reading, Unix time in ns
//	out = call_builtin()       consumes what was allocated: a name and values, each ended by a zero byte (builtin.go)
//	out: u32 outcome, u32 length, value or message
//
// The answer stands until the next call of allocate. Both buffers are held by these variables, or the collector would
// take them while only the host has their address.
var request, response []byte

//go:wasmexport allocate
func allocate(size uint32) unsafe.Pointer {
	request = grow(request, int(size))
	return unsafe.Pointer(unsafe.SliceData(request))
}

//go:wasmexport serve
func serve() unsafe.Pointer {
	head, body := handle(request)
	request = nil
	return respond(uint32(len(head)), uint32(len(body)), head, body)
}

//go:wasmexport begin
func begin(nowNs int64) {
	beginDecision(nowNs)
}

//go:wasmexport call_builtin
func callBuiltinExport() unsafe.Pointer {
	outcome, answer := callBuiltin(request)
	return respond(outcome, uint32(len(answer)), answer, nil)
}

func respond(first, second uint32, head, body []byte) unsafe.Pointer {
	response = grow(response, 8+len(head)+len(body))[:0]
	response = binary.LittleEndian.AppendUint32(response, first)
	response = binary.LittleEndian.AppendUint32(response, second)
	response = append(append(response, head...), body...)
	return unsafe.Pointer(unsafe.SliceData(response))
}

// Buffers of calls to built-ins are small and many: they are used again. Larger ones are given back.
const keptBuffer = 64 << 10

func grow(buffer []byte, size int) []byte {
	if size <= cap(buffer) && cap(buffer) <= keptBuffer {
		return buffer[:size]
	}
	return make([]byte, size, max(size, 1024))
}
