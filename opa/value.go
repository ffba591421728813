package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The text of values between this module and a compiled policy: JSON, with sets as `{1, 2}` and `set()`, and with any value
// as the key of an object. Written by opa_value_dump, read by opa_value_parse (OPA's wasm/src/json.c).

var errValue = errors.New("not a value")

func readTerm(text []byte) (*ast.Term, error) {
	r := reader{text: text}
	term, err := r.read()
	if err != nil {
		return nil, err
	}
	if r.skip(); r.at != len(text) {
		return nil, errValue
	}
	return term, nil
}

type reader struct {
	text []byte
	at   int
}

func (r *reader) skip() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t' || r.text[r.at] == '\r') {
		r.at++
	}
}

// take tells whether the next byte is c, and passes it if so.
func (r *reader) take(c byte) bool {
	r.skip()
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) word(word string) bool {
	if len(r.text)-r.at < len(word) || string(r.text[r.at:r.at+len(word)]) != word {
		return false
	}
	r.at += len(word)
	return true
}

func (r *reader) read() (*ast.Term, error) {
	r.skip()
	if r.at == len(r.text) {
		return nil, errValue
	}
	switch c := r.text[r.at]; {
	case c == '"':
		return r.string()
	case c == '[':
		r.at++
		elements, err := r.elements(']')
		return ast.ArrayTerm(elements...), err
	case c == '{':
		r.at++
		return r.objectOrSet()
	case c == '-' || c == '.' || '0' <= c && c <= '9': // a literal of Rego may begin with a point
		return r.number()
	case r.word("true"):
		return ast.InternedTerm(true), nil
	case r.word("false"):
		return ast.InternedTerm(false), nil
	case r.word("null"):
		return ast.InternedNullTerm, nil
	case r.word("set()"):
		return ast.SetTerm(), nil
	}
	return nil, errValue
}

// elements reads up to the closing byte, which may come at once.
func (r *reader) elements(end byte) ([]*ast.Term, error) {
	var elements []*ast.Term
	for first := true; ; first = false {
		if r.take(end) {
			return elements, nil
		}
		if !first && !r.take(',') {
			return nil, errValue
		}
		element, err := r.read()
		if err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
}

func (r *reader) objectOrSet() (*ast.Term, error) {
	if r.take('}') {
		return ast.ObjectTerm(), nil
	}
	first, err := r.read()
	if err != nil {
		return nil, err
	}
	if !r.take(':') {
		elements := []*ast.Term{first}
		if r.take(',') {
			rest, err := r.elements('}')
			if err != nil {
				return nil, err
			}
			return ast.SetTerm(append(elements, rest...)...), nil
		}
		if !r.take('}') {
			return nil, errValue
		}
		return ast.SetTerm(elements...), nil
	}
	object := ast.NewObject()
	for key := first; ; {
		value, err := r.read()
		if err != nil {
			return nil, err
		}
		object.Insert(key, value)
		if r.take('}') {
			return ast.NewTerm(object), nil
		}
		if !r.take(',') {
			return nil, errValue
		}
		if key, err = r.read(); err != nil {
			return nil, err
		}
		if !r.take(':') {
			return nil, errValue
		}
	}
}

func (r *reader) number() (*ast.Term, error) {
	from := r.at
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			r.at++
		default:
			return ast.NumberTerm(json.Number(r.text[from:r.at])), nil
		}
	}
	return ast.NumberTerm(json.Number(r.text[from:r.at])), nil
}

func (r *reader) string() (*ast.Term, error) {
	from := r.at + 1
	escaped := false
	for r.at = from; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '\\':
			escaped = true
			r.at++
		case '"':
			r.at++
			if !escaped {
				return ast.StringTerm(string(r.text[from : r.at-1])), nil
			}
			return r.unescape(r.text[from : r.at-1])
		}
	}
	return nil, errValue
}

// unescape undoes what opa_json_writer_emit_string does, byte by byte: what is no UTF-8 stays what it is.
func (r *reader) unescape(text []byte) (*ast.Term, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		switch text[i] {
		case '"', '\\', '/':
			out = append(out, text[i])
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			if len(text)-i < 5 {
				return nil, errValue
			}
			var code rune
			if _, err := fmt.Sscanf(string(text[i+1:i+5]), "%04x", &code); err != nil {
				return nil, errValue
			}
			out = utf8.AppendRune(out, code)
			i += 4
		default:
			return nil, errValue
		}
	}
	return ast.StringTerm(string(out)), nil
}

func appendValue(out []byte, value ast.Value) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case ast.Null:
		return append(out, "null"...), nil
	case ast.Boolean:
		if v {
			return append(out, "true"...), nil
		}
		return append(out, "false"...), nil
	case ast.Number:
		return append(out, v...), nil
	case ast.String:
		return appendString(out, string(v)), nil
	case *ast.Array:
		out = append(out, '[')
		for i := range v.Len() {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = appendValue(out, v.Elem(i).Value); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case ast.Set:
		if v.Len() == 0 {
			return append(out, "set()"...), nil
		}
		out = append(out, '{')
		for i, element := range v.Slice() {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = appendValue(out, element.Value); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	case ast.Object:
		out = append(out, '{')
		first := true
		err = v.Iter(func(key, value *ast.Term) error {
			if !first {
				out = append(out, ',')
			}
			first = false
			if out, err = appendValue(out, key.Value); err != nil {
				return err
			}
			out, err = appendValue(append(out, ':'), value.Value)
			return err
		})
		return append(out, '}'), err
	}
	return nil, fmt.Errorf("%s can't be handed to a compiled policy", ast.ValueName(value))
}

const hex = "0123456789abcdef"

// appendString writes what opa_json_parse_string takes. It aborts on bytes that are no UTF-8; they become U+FFFD, as they do
// where OPA writes JSON.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			out = append(out, c)
		default:
			code, size := utf8.DecodeRuneInString(s[i:])
			out = utf8.AppendRune(out, code)
			i += size
			continue
		}
		i++
	}
	return append(out, '"')
}
