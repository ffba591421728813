/** The pieces of YAML in the papers: configurations are held to the schema, the files that are none are known. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { configSchema } from '../../src/config/schema.ts';
import { listPapers, readPaper } from './papers.ts';

/** First members of what is no configuration of ours, by the paper. */
const others: Readonly<Record<string, readonly string[]>> = {
  'docs/clients.md': ['models'],
  'docs/identity.md': ['keys', 'claims', 'spec', 'revoked'],
};

const blocks = (await listPapers()).flatMap((paper) =>
  [...readPaper(paper).matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => ({ paper, text })),
);

test('every configuration in the papers has members that there are, with values of their kind', () => {
  const configurations = blocks.filter(({ paper, text }) => !others[paper]?.includes(text.split(':', 1)[0] ?? ''));
  assert.ok(configurations.length > 20);
  for (const { paper, text } of configurations) {
    const { error } = configSchema.safeParse(parse(text));
    assert.equal(error, undefined, `${paper}\n${text}`);
  }
});
