// Command opa is OPA's compiler, tester and formatter as one WebAssembly module, run by src/policy/toolchain.
//
// It is a reactor: Node calls the exports of exports_wasip1.go, and main never runs.
package main

func main() {}
