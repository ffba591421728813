package main

import (
	"encoding/binary"
	"unsafe"
)

// The protocol over linear memory, one call at a time:
//
//	in  = allocate(n)          the caller writes n bytes of JSON there
//	out = serve()              consumes what was allocated
//	out: u32 length of JSON, u32 length of bytes, JSON, bytes   (little-endian)
//
// The answer stands until the next call of allocate. Both buffers are held by these variables, or the collector would
// take them while only the host has their address.
var request, response []byte

//go:wasmexport allocate
func allocate(size uint32) unsafe.Pointer {
	response = nil
	request = make([]byte, max(size, 1))[:size]
	return unsafe.Pointer(unsafe.SliceData(request))
}

//go:wasmexport serve
func serve() unsafe.Pointer {
	head, body := handle(request)
	request = nil
	response = make([]byte, 0, 8+len(head)+len(body))
	response = binary.LittleEndian.AppendUint32(response, uint32(len(head)))
	response = binary.LittleEndian.AppendUint32(response, uint32(len(body)))
	response = append(append(response, head...), body...)
	return unsafe.Pointer(unsafe.SliceData(response))
}
