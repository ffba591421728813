/** What compiles and is most likely not meant: each kind is found, and nothing where there is nothing. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { decisionMembers } from '../../src/decision/narrow.ts';
import { type FaultQuestion, findFaults } from '../../src/policy/find-faults.ts';
import { readInputSchema } from '../../src/policy/input-schema.ts';
import { readPolicySource } from '../../src/policy/source.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { noModule } from './toolchain-fixture.ts';

const skip = noModule;
const toolchain = createToolchain({ path: undefined });
after(() => toolchain.close());

/** A rule in package `a` with METADATA, so that nothing but what stands in it can be found. It begins in row 6. */
async function find(rule: string) {
  const modules = { 'a.rego': `package a\n\n# METADATA\n# title: t\n# description: d\n${rule}\n` };
  return look({ modules, data: {}, files: new Map() }, 'a');
}

async function look(source: FaultQuestion['source'], entrypoint: string) {
  const { findings } = await findFaults({
    source,
    entrypoints: [entrypoint],
    inputSchema: await readInputSchema(),
    schema: 'warn',
    decisionNames: decisionMembers,
    compiled: false,
    toolchain,
  });
  return findings;
}

const slips: ReadonlyArray<readonly [name: string, rego: string, found: readonly string[], said: RegExp]> = [
  ['alow', 'alow := true', ['error near_rule 6'], /did you mean allow\?/],
  ['denny', 'denny contains "x y" if input.stream', ['error near_rule 6'], /did you mean deny\?/],
  ['obligation', 'obligation := {}', ['error near_rule 6'], /did you mean obligations\?/],
  ['http_stat', 'http_stat := 403', ['error near_rule 6'], /did you mean http_status\?/],
  ['httpStatus', 'httpStatus := 403', ['error near_rule 6'], /did you mean http_status\?/],
  ['input.modle', 'allow if input.modle == "x"', ['error near_input 6'], /did you mean input\.model\?/],
  ['input.agentrole', 'allow if input.agentrole == "x"', ['error near_input 6'], /did you mean input\.agent_role\?/],
  [
    'a member below a member',
    'allow if input.principal.role == "x"',
    ['error near_input 6'],
    /did you mean input\.principal\.roles\?/,
  ],
  [
    'a member of each of a list',
    'allow if input.model_refs[_].sorce == "local"',
    ['error near_input 6'],
    /did you mean input\.model_refs\[_\]\.source\?/,
  ],
  [
    'an operation that there is not',
    'allow if input.operation == "chta"',
    ['error near_value 6'],
    /never "chta" \(did you mean "chat"\?\): this never holds/,
  ],
  [
    'a negated comparison, which then always holds',
    'allow if not input.operation == "chta"',
    ['error near_value 6'],
    /this always holds/,
  ],
  ['a comparison the other way round', 'allow if "opneai" == input.api', ['error near_value 6'], /never "opneai"/],
  ['a value of a set', 'allow if input.operation in {"chat", "generat"}', ['error near_value 6'], /never "generat"/],
  [
    'a value that is near to none',
    'allow if input.api == "azure"',
    ['warning impossible_value 6'],
    /it is one of ollama/,
  ],
  ['a body that is false', 'allow if false', ['warning never_holds 6'], /never true/],
  ['a comparison of constants', 'allow if "a" == "b"', ['warning never_holds 6'], /never true/],
  [
    'two values at once',
    'deny if {\n\tinput.api == "ollama"\n\tinput.api == "openai"\n}',
    ['error contradiction 8'],
    /deny can't hold: .*input\.api/,
  ],
  ['a value and its denial', 'deny if {\n\tinput.raw\n\tnot input.raw\n}', ['error contradiction 8'], /input\.raw/],
  [
    'a comparison and its denial',
    'deny if {\n\tinput.model == "a"\n\tnot input.model == "a"\n}',
    ['error contradiction 8'],
    /input\.model/,
  ],
  [
    'an empty interval',
    'deny if {\n\tinput.message_count > 5\n\tinput.message_count <= 5\n}',
    ['error contradiction 8'],
    /message_count/,
  ],
  [
    'two values of a variable',
    'deny if {\n\tsome ref in input.model_refs\n\tref.name == "a"\n\tref.name == "b"\n}',
    ['error contradiction 9'],
    /ref\.name/,
  ],
  ['a reason without a code', 'deny contains {"msg": "x"}', ['error reason_malformed 6'], /policy_malformed/],
  ['a code that is none', 'deny contains {"code": "Not one"}', ['error reason_malformed 6'], /"Not one"/],
  ['a code that nobody declares', 'deny contains {"code": "x_y"}', ['warning code_undeclared 6'], /x_y/],
];

for (const [name, rule, expected, said] of slips) {
  test(`found: ${name}`, { skip }, async () => {
    const findings = await find(rule);
    assert.deepEqual(
      findings.map(({ severity, code, row }) => `${severity} ${code} ${row}`),
      expected,
    );
    assert.match(findings[0]?.message ?? '', said);
  });
}

const meant: ReadonlyArray<readonly [name: string, rego: string]> = [
  ['private helpers may have any name', '_alow if input.model'],
  [
    'functions are no part of a decision',
    'alow(x) if x\n\n# METADATA\n# title: t\n# description: d\nallow if alow(input.raw)',
  ],
  ['two elements are two values', 'deny if {\n\tinput.tools[_] == "a"\n\tinput.tools[_] == "b"\n}'],
  ['two elements by two variables', 'deny if {\n\tsome i, j\n\tinput.tools[i] == "a"\n\tinput.tools[j] == "b"\n}'],
  ['another input is another value', 'deny if {\n\tinput.raw\n\tnot input.raw with input.raw as false\n}'],
  ['an interval that is not empty', 'deny if {\n\tinput.message_count >= 5\n\tinput.message_count <= 5\n}'],
  ['unequal to two values', 'deny if {\n\tinput.model != "a"\n\tinput.model != "b"\n\tnot input.model == "c"\n}'],
  ['free objects have any member', 'deny if input.principal.claims.rolse == "x"'],
  ['a value from elsewhere', 'deny if input.operation == data.operation'],
  ['every operation', 'deny if input.operation in {"chat", "models.pull", "root"}'],
  ['a default', 'default allow := false'],
];

for (const [name, rule] of meant) {
  test(`not found: ${name}`, { skip }, async () => {
    assert.deepEqual(await find(rule), []);
  });
}

for (const policy of ['policies', ...readdirSync('templates').map((name) => join('templates', name))]) {
  test(`nothing is found in ${policy}, not even a warning`, { skip }, async () => {
    assert.deepEqual(await look(await readPolicySource(policy), 'ollama/authz'), []);
  });
}
