/** `opallama diff` over the shipped inputs, over files and over the audit log. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeExampleInputs } from '../../scripts/write-example-inputs.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama, root } from './command.ts';

const skip = noModule;
const home = mkdtempSync(join(tmpdir(), 'opallama-diff-'));
after(() => rmSync(home, { recursive: true, maxRetries: 10 }));

function writePolicy(name: string, rego: string): void {
  mkdirSync(join(home, name), { recursive: true });
  writeFileSync(join(home, name, 'authz.rego'), `package authz\n\ndefault allow := false\n\n${rego}`);
}
writePolicy('open', 'allow if input.operation == "chat"\n');
writePolicy('small', 'allow if {\n\tinput.operation == "chat"\n\tinput.model == "tiny"\n}\n');
writePolicy('noted', 'allow if input.operation == "chat"\n\nreasons contains "seen" if allow\n');
writePolicy(
  'reading',
  'allow if {\n\tinput.operation == "chat"\n\tevery message in input.messages {\n\t\tnot contains(message.content, "x")\n\t}\n}\n',
);
writePolicy('late', 'allow if time.clock(input.now_ns)[0] < 12\n');

const inputs = [
  { operation: 'chat', model: 'tiny', principal: { id: 'ann', roles: ['guest'] } },
  { operation: 'chat', model: 'llama3.2', principal: { id: 'ann', roles: ['guest'] } },
  { operation: 'embed', model: 'llama3.2' },
];
writeFileSync(join(home, 'inputs.jsonl'), `${inputs.map((each) => JSON.stringify(each)).join('\n')}\n`);

const diff = (...args: readonly string[]) => opallama(['diff', '--entrypoint', 'authz', ...args], { cwd: home });

test('inputs that are decided differently are listed, and end with 1 unless changes are allowed', {
  skip,
}, async () => {
  const { code, stdout } = await diff('open', 'small', '--inputs', 'inputs.jsonl');
  assert.equal(code, 1);
  assert.match(stdout, /^3 inputs: 2 alike, 1 differ$/m);
  assert.match(stdout, /^ {2}allow → deny: 1$/m);
  assert.match(stdout, /^ {2}inputs\.jsonl:2 {2}ann \(guest\) {2}chat llama3\.2 {2}allow → deny policy_denied$/m);
  assert.equal((await diff('open', 'small', '--inputs', 'inputs.jsonl', '--allow-changes')).code, 0);
  assert.equal((await diff('open', 'open', '--inputs', 'inputs.jsonl')).code, 0);
});

test('the same decision with other reasons differs too, and machines are told in what', { skip }, async () => {
  const { code, stdout } = await diff('open', 'noted', '--inputs', 'inputs.jsonl', '--format', 'json');
  assert.equal(code, 1);
  const report = JSON.parse(stdout);
  assert.deepEqual([report.inputs, report.alike, report.differ, report.undecidable], [3, 1, 2, 0]);
  assert.deepEqual(report.differences[0].differs, ['reasons']);
  assert.deepEqual(report.differences[0].new.reasons, [{ code: 'seen', message: 'seen' }]);
});

test('inputs of the audit log that lack content which a policy reads are undecidable, and counted apart', {
  skip,
}, async () => {
  const chat = { operation: 'chat', model: 'tiny', message_count: 1, now_ns: 1 };
  const log = [
    { level: 30, event: 'audit', input: { ...chat, erased: ['messages'] } },
    { level: 30, event: 'audit', input: chat },
    { level: 30, event: 'audit', input: { operation: 'models.list', now_ns: 1 } },
    { level: 30, event: 'audit', status: 401 },
  ];
  writeFileSync(join(home, 'audit.jsonl'), log.map((each) => JSON.stringify(each)).join('\n'));
  const read = await diff('open', 'reading', '--inputs', 'audit.jsonl');
  assert.equal(read.code, 0);
  assert.match(read.stdout, /^3 inputs: 1 alike, 0 differ, 2 undecidable$/m);
  assert.match(read.stdout, /^Undecidable: recorded without messages, which one of the policies reads\.$/m);
  const unread = await diff('open', 'small', '--inputs', 'audit.jsonl');
  assert.match(unread.stdout, /^3 inputs: 3 alike, 0 differ$/m);
});

test('the clock is the one of the input, so that a replay says the same at any hour', { skip }, async () => {
  const [morning, night] = ['2026-01-31T08:00:00Z', '2026-01-31T22:00:00Z'].map((time) => ({
    operation: 'chat',
    now_ns: Date.parse(time) * 1e6,
  }));
  writeFileSync(join(home, 'times.json'), JSON.stringify([morning, night]));
  const { stdout } = await diff('open', 'late', '--inputs', 'times.json');
  assert.match(stdout, /^ {2}times\.json\[1\] .* allow → deny policy_denied$/m);
  assert.match(stdout, /1 alike, 1 differ/);
});

test('without inputs of its own it takes those that are shipped', { skip }, async () => {
  const { code, stdout } = await opallama(['diff', 'policies', 'policies']);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^72 inputs: 72 alike, 0 differ$/m);
});

test('the shipped inputs are what the pipeline builds now', async () => {
  const file = join(root, 'examples/inputs/requests.jsonl');
  const message = 'run "node_modules/.bin/node scripts/write-example-inputs.ts"';
  assert.ok((await makeExampleInputs()) === readFileSync(file, 'utf8'), message);
});

test('inputs that are not there are a wrong call, a policy that does not compile is a finding', { skip }, async () => {
  const none = await diff('open', 'small', '--inputs', 'nothing.jsonl');
  assert.equal(none.code, 2);
  assert.match(none.stderr, /nothing\.jsonl can't be read/);
  writePolicy('broken', 'allow if y\n');
  const broken = await diff('open', 'broken', '--inputs', 'inputs.jsonl');
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /authz\.rego:5:10/);
});
