//go:build !unix

// Command opa is OPA's compiler, tester and formatter, run by src/policy/toolchain.
//
// As WebAssembly it is a reactor: Node calls the exports of exports_wasip1.go, and main never runs. main_unix.go has the
// same commands as a program of the machine.
package main

func main() {}
