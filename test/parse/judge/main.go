// Judges documents as Ollama reads them: each goes through Ollama's own middleware and into Ollama's own request types, and
// what came out is printed. The same documents go through the sidecar's readers (test/parse/run.ts), and no document that
// the sidecar lets pass may differ.
//
// In: frames of one byte (an index into the names given as arguments), four bytes of length (big endian), and the document.
// Out: for each, in order, four bytes of length and a JSON object: a projection, or {"refused": what it said}.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/gin-gonic/gin"
)

// No honest document comes near; a broken frame would.
const maxDocument = 64 << 20

func main() {
	gin.SetMode(gin.ReleaseMode)
	// Ollama warns of every option that it does not know.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if err := serve(os.Args[1:], bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 1<<20)); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func serve(names []string, in *bufio.Reader, out *bufio.Writer) error {
	judges := make([]*judge, len(names))
	for i, name := range names {
		judge, err := newJudge(name)
		if err != nil {
			return err
		}
		judges[i] = judge
	}
	var head [5]byte
	var length [4]byte
	for {
		// Whoever waits for an answer has sent all that it will: nothing may stay here then.
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return out.Flush()
		} else if err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(head[1:])
		if int(head[0]) >= len(judges) || size > maxDocument {
			return fmt.Errorf("no such frame: type %d, %d bytes", head[0], size)
		}
		document := make([]byte, size)
		if _, err := io.ReadFull(in, document); err != nil {
			return err
		}
		answer, err := judges[head[0]].read(document)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(length[:], uint32(len(answer)))
		if _, err := out.Write(length[:]); err != nil {
			return err
		}
		if _, err := out.Write(answer); err != nil {
			return err
		}
	}
}
