import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf, guests, load } from './sources.ts';

const wrong: ReadonlyArray<readonly [what: string, yaml: string, fault: RegExp]> = [
  [
    'a member that stands twice',
    `${guests}log: { level: info }\nlog: { level: debug }\n`,
    /^opallama\.yaml:3:1: this member stands twice$/,
  ],
  [
    'an inner member that stands twice',
    'log:\n  level: info\n  level: warn\n',
    /^opallama\.yaml:3:3: this member stands twice$/,
  ],
  ['a second document', `${guests}---\nlog: { level: debug }\n`, /^opallama\.yaml:2:1: a second document begins here/],
  ['a list that does not end', `${guests}prefixes: [/a\n`, /^opallama\.yaml:3:1: /],
  ['a tab for indentation', 'log:\n\tlevel: info\n', /^opallama\.yaml:2:1: /],
  [
    'a tag that is not known',
    `${guests}log: { level: !secret info }\n`,
    /^opallama\.yaml:2:15: Unresolved tag: !secret$/,
  ],
  ['an alias without an anchor', `${guests}prefixes: *paths\n`, /^opallama\.yaml:2:1: /],
  ['a key that is a list', `${guests}? [a, b]\n: c\n`, /^opallama\.yaml:2:3: /],
  ['a list in place of the configuration', '- a\n', /^opallama\.yaml: must be a map of members/],
  ['a word in place of the configuration', 'nothing\n', /^opallama\.yaml: must be a map of members/],
  ['an alias that holds itself', `${guests}log: &a { level: *a }\n`, /^opallama\.yaml:2:11: nested too deep$/],
  ['nesting without end', `prefixes: ${'['.repeat(100_000)}`, /^opallama\.yaml:1:\d+: /],
  [
    'nesting that is only deep',
    `prefixes: ${'['.repeat(50)}${']'.repeat(50)}`,
    /^opallama\.yaml:1:\d+: nested too deep$/,
  ],
  [
    'a file that is longer than any configuration',
    `# ${'x'.repeat(1_048_576)}\n`,
    /^opallama\.yaml:1:1: longer than 1 MiB$/,
  ],
];

for (const [what, yaml, fault] of wrong) {
  test(`${what} is refused with its place`, () => assert.match(faultsOf({ yaml })[0] ?? '', fault));
}

test('aliases that multiply into millions of values are refused before they are built', () => {
  const steps = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
  for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh']) {
    steps.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(',')}]`);
  }
  const start = performance.now();
  assert.match(
    faultsOf({ yaml: `${steps.join('\n')}\n` })[0] ?? '',
    /^opallama\.yaml:1:\d+: there are too many values/,
  );
  assert.ok(performance.now() - start < 5_000);
});

test('a file that is not UTF-8 is refused', () => {
  const files = { '/etc/app/opallama.yaml': Uint8Array.from([0x61, 0x3a, 0x20, 0xff]) };
  assert.deepEqual(faultsOf({ files }), ['opallama.yaml: is not UTF-8']);
});

test('a fault in the file hides no unknown variable', () => {
  const faults = faultsOf({ yaml: 'log: [\n', env: { OPALLAMA_LGO__LEVEL: 'info' } });
  assert.equal(faults.at(-1), 'OPALLAMA_LGO__LEVEL: unknown member; did you mean OPALLAMA_LOG__LEVEL?');
});

test('an empty file and one with only comments set nothing', () => {
  const env = { OPALLAMA_IDENTITY__ANONYMOUS__ROLES: '[guest]' };
  assert.equal(load({ yaml: '', env }).log.level, 'info');
  assert.equal(load({ yaml: '# nothing yet\n', env }).log.level, 'info');
});

test('an alias is read as what it stands for', () => {
  const config = load({
    yaml: 'prefixes: &p [/a, /b]\nlisten: { hosts: *p }\n',
    env: { OPALLAMA_LISTEN__HOSTS: '[]', OPALLAMA_IDENTITY__ANONYMOUS__ROLES: '[guest]' },
  });
  assert.deepEqual(config.prefixes, ['/a', '/b']);
});
