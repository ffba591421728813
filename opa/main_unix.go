//go:build unix

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"syscall"
	"time"
)

// The protocol over standard input and output, one call at a time (u32 little-endian):
//
//	in:  u32 length, JSON: a command of the tool chain
//	out: u32 length of JSON, u32 length of bytes, JSON, bytes
//
// It ends with its standard input.
func main() {
	wait()
	if err := seal(); err != nil {
		fail("this process could not be shut off: %v", err)
	}
	// Some 60 MB more for a quarter less of time.
	debug.SetGCPercent(200)
	requests := make(chan []byte)
	go read(os.Stdin, requests)
	for request := range requests {
		head, body := handle(request)
		sizes := binary.LittleEndian.AppendUint32(nil, uint32(len(head)))
		sizes = binary.LittleEndian.AppendUint32(sizes, uint32(len(body)))
		for _, part := range [][]byte{sizes, head, body} {
			if _, err := os.Stdout.Write(part); err != nil {
				os.Exit(1)
			}
		}
	}
}

// Go's runtime waits by what it opens for its first timer, and ends the process where that can't be had. Once sealed nothing
// can be opened any more, and the runtime sets timers of its own, to give memory back.
func wait() {
	time.Sleep(time.Microsecond)
}

// What the module gets from WebAssembly, by rights that the process gives up: it opens no file and no connection, whatever
// a policy that is compiled or tested asks for, and has 4 GiB of memory at most. What it works on stays out of a core dump.
func seal() error {
	for resource, most := range map[int]uint64{syscall.RLIMIT_NOFILE: 0, syscall.RLIMIT_CORE: 0} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	// Not every system knows a limit of addresses.
	_ = syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: 4 << 30, Max: 4 << 30})
	return nil
}

// The parent keeps longer ones from being sent.
const longestRequest = 256 << 20

// read goes on while a command runs: a process that nobody listens to any more ends at once, and not after its work.
func read(in io.Reader, requests chan<- []byte) {
	from := bufio.NewReader(in)
	for {
		var size [4]byte
		if _, err := io.ReadFull(from, size[:]); err != nil {
			os.Exit(0)
		}
		length := binary.LittleEndian.Uint32(size[:])
		if length > longestRequest {
			fail("a request of %d bytes", length)
		}
		request := make([]byte, length)
		if _, err := io.ReadFull(from, request); err != nil {
			os.Exit(0)
		}
		requests <- request
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}
