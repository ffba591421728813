/** What follows papers finds what is wrong in one: else all of them would pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Block } from './blocks.ts';
import { makePlace } from './place.ts';
import { exits, follow, interrupted, stays, stepsOf } from './session.ts';

const block = (text: string, shown: readonly string[] = [], logged: readonly string[] = []): Block => ({
  ...{ paper: 'a paper', heading: '', mark: undefined, text, first: text.split('\n', 1)[0] ?? '', shown, logged },
});

test('blocks share one shell, and lines that are shown are found in their order, but for ids, times and what is left out', async (t) => {
  const place = await makePlace(t, { ollama: '9' });
  const first = block('name=alice; double() { echo "$1$1"; }');
  const second = block('double $name\necho 2026-01-01T00:00:00Z 12 ms\necho {1,2,3}', [
    'alicealice',
    '2027-02-02T11:11:11.5Z 3.5 ms',
    '1 ... 3',
  ]);
  const printed = await follow(t, place, [{ block: first }, { block: second, before: 'echo not shown' }]);
  assert.equal(printed[1], 'alicealice\n2026-01-01T00:00:00Z 12 ms\n1 2 3\n');
});

for (const [what, wrong, message] of [
  ['a command that fails', block('true\nls /nowhere'), /failed: ls \/nowhere/],
  ['a line that is not printed', block('echo one', ['two']), /shows below echo one\s+two/],
  ['lines in another order', block('echo one; echo two', ['two', 'one']), /\n {0,2}one\n/],
  ['a line of the log that is not there', block('echo one', [], ['two']), /no such line/],
  ['an error that is not shown', block(`echo '{"error":"Denied"}'`), /Denied/],
  ['a pipe whose beginning fails', block('false | true'), /failed: true/],
] as const)
  test(`${what} is found`, async (t) => {
    const place = await makePlace(t, { ollama: '9' });
    await assert.rejects(follow(t, place, [{ block: wrong }]), message);
  });

test('what runs on is waited for, is ended with the session, and what ends otherwise than it should is found', async (t) => {
  const place = await makePlace(t, { ollama: '9' });
  const lasting = block('sh -c "echo here; exec sleep 300"\nfalse');
  const ways = { 'sh -c "echo here; exec sleep 300"': interrupted('here'), false: exits(1) };
  await follow(t, place, [{ block: lasting, ways }]);
  await assert.rejects(follow(t, place, [{ block: block('true'), ways: { true: exits(1) } }]), /failed/);
  await assert.rejects(
    follow(t, place, [{ block: block('echo no'), ways: { 'echo no': stays('yes') } }]),
    /never said: yes/,
  );
  await assert.rejects(follow(t, place, [{ block: block('echo'), ways: { gone: exits(1) } }]), /has no line gone/);
  assert.throws(() => stepsOf([block('one'), block('two')], { three: {} }), /blocks that begin with three/);
});
