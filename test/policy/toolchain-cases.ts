/** What the module and the `opa` command must both say of a policy. */
import { denyList } from './toolchain-fixture.ts';

/** One rule body each, in `package a`: whether all of the input is read, and which members by name. */
export const reads: ReadonlyArray<readonly [name: string, rego: string, all: boolean, members: readonly string[]]> = [
  ['members are read by name', 'p if { input.model == "x"; input["agent_role"] }', false, ['agent_role', 'model']],
  ['only the first step counts', 'p if input.options[input.key].x', false, ['key', 'options']],
  ['members are found in comprehensions', 'p := {x | x := input.tools[_]}', false, ['tools']],
  ['members are found in heads and defaults', 'p[input.model] := input.method', false, ['method', 'model']],
  ['members are found in the reference of a head', 'p[input.model].x := 1', false, ['model']],
  ['a bare input in the reference of a head reads everything', 'p[input].x := 1', true, []],
  ['members are found in text with values', 'p := $"{input.messages}"', false, ['messages']],
  ['members are found in an else', 'p := 1 if input.a else := input.b', false, ['a', 'b']],
  ['an import of a member is a read of it', 'import input.principal as who\n\np if who.id', false, ['principal']],
  ['an import of the input reads nothing by itself', 'p if every t in input.tools { t != "x" }', false, ['tools']],
  ['a member may be handed to a function', 'f(x) := x\n\np := f(input.model)', false, ['model']],
  ['walk over a member reads that member', 'p if walk(input.options, [_, 1])', false, ['options']],
  ['a policy without input reads none', 'p := data.x', false, []],
  ['a bare input reads everything', 'p if { x := input; x.messages }', true, []],
  ['an import of the whole input reads everything', 'import input as asked\n\np if asked.messages', true, []],
  ['a first step that is a variable reads everything', 'p if { some k; input[k] }', true, []],
  ['a first step that is computed reads everything', 'p if input[concat("", ["mess", "ages"])]', true, []],
  ['a first step that is a member reads everything', 'p if input[input.key]', true, ['key']],
  ['walk over the input reads everything', 'p if walk(input, [_, "x"])', true, []],
  ['the input handed to a function reads everything', 'f(x) := x.messages\n\np := f(input)', true, []],
  ['the input handed to a built-in reads everything', 'p if object.get(input, "messages", 1)', true, []],
  ['input replaced as a whole reads everything', 'q if input.a\n\np if q with input as {"a": 1}', true, ['a']],
  ['a member replaced reads everything', 'q if input.a\n\np if q with input.b as 1', true, ['a', 'b']],
  ['the input in an object reads everything', 'p := {"x": input}', true, []],
];

export const shapes: ReadonlyArray<
  readonly [name: string, rego: string, entrypoint: string, shape: string, data?: Readonly<Record<string, unknown>>]
> = [
  ['an existing policy with a lone deny is a deny-list', denyList, 'behavry/authz', 'deny_list'],
  ['an entrypoint that names a rule is a rule', denyList, 'behavry/authz/deny', 'rule'],
  ['a set of denials is a deny-list', 'package a\n\ndeny contains "x" if input.x', 'a', 'deny_list'],
  ['allow beside deny is no deny-list', 'package a\n\ndeny if input.x\n\nallow if input.y', 'a', 'allow'],
  ['allowed counts as allow', 'package a\n\nallowed if input.y\n\ndeny if input.x', 'a', 'allow'],
  ['an allow in data is no deny-list', 'package a\n\ndeny if input.x', 'a', 'allow', { a: { allow: true } }],
  ['a package below that is named deny is no deny-list', 'package a.deny\n\nx if input.x', 'a', 'unknown'],
  ['a package of other rules is unknown', 'package a\n\nviolation if input.x', 'a', 'unknown'],
  ['an entrypoint that does not exist is unknown', 'package a\n\ndeny if input.x', 'b', 'unknown'],
  ['a function deny is no deny-list', 'package a\n\ndeny(x) := x\n\np if deny(true)', 'a', 'unknown'],
];

/** Policies that must not compile, with the first fault. */
export const refused: ReadonlyArray<{
  readonly name: string;
  readonly rego: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly entrypoint?: string;
  readonly fault: object;
}> = [
  {
    name: 'a syntax error is told with its file, row and column',
    rego: 'package a\n\nallow if {\n\tinput.model ==\n}',
    fault: { code: 'rego_parse_error', file: 'policies/a.rego', row: 5, column: 1 },
  },
  {
    name: 'a type error is told with its file, row and column',
    rego: 'package a\n\nallow if count(3) == 1',
    fault: { code: 'rego_type_error', file: 'policies/a.rego', row: 3, column: 10 },
  },
  {
    name: 'an unsafe variable is told with its file, row and column',
    rego: 'package a\n\nallow if x == 1',
    fault: { code: 'rego_unsafe_var_error', file: 'policies/a.rego', row: 3, column: 10 },
  },
  {
    name: 'Rego of version 0 is refused where it differs',
    rego: 'package a\n\nallow { true }',
    fault: { code: 'rego_parse_error', file: 'policies/a.rego', row: 3, column: 1 },
  },
  {
    name: 'the network is refused with the advice to use the opa engine',
    rego: 'package a\n\nallow if http.send({"method": "get", "url": "http://x"}).status_code == 200',
    fault: { code: 'unsupported_builtin', file: 'policies/a.rego', row: 3, column: 10 },
  },
  {
    name: 'the network is refused as a replacement of another function too',
    rego: 'package a\n\nf(x) := x\n\nallow if f("localhost") with f as net.lookup_ip_addr',
    fault: { code: 'unsupported_builtin', file: 'policies/a.rego' },
  },
  {
    name: 'a rule that hides a data document is refused',
    rego: 'package a\n\nallow := true',
    data: { a: { allow: false } },
    fault: { code: 'rego_compile_error', file: 'policies/a.rego', row: 3, column: 1 },
  },
  {
    name: 'an entrypoint that does not exist is refused',
    rego: 'package a\n\nallow := true',
    entrypoint: 'a/alow',
    fault: { code: 'unknown_entrypoint' },
  },
  {
    name: 'a function is no entrypoint',
    rego: 'package a\n\nallow(x) := x',
    entrypoint: 'a/allow',
    fault: { code: 'unknown_entrypoint' },
  },
];
