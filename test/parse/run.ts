/**
 * Holds the sidecar's reading of documents against Ollama's own: no document that passes the guard may be read differently.
 * Ends with code 1 where one is, with its minimised form kept in `regressions/`, and with 2 where it can't run.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare } from './compare.ts';
import { generate } from './generate.ts';
import { handmade } from './handmade.ts';
import { type Document, type Judge, startJudge } from './judge.ts';
import { loadKept, regressions } from './kept.ts';
import { minimise } from './minimise.ts';
import { readOurs, requestTypes } from './ours.ts';

const batchSize = 1000;
/** More of them say nothing new. */
const mostKept = 20;

interface Outcome {
  differing: number;
  readonly sides: Map<string, number>;
  readonly failures: Array<{ readonly document: Document; readonly difference: string }>;
}

async function judgeAll(judge: Judge, batches: Iterable<readonly Document[]>, outcome: Outcome): Promise<void> {
  // One batch ahead: while it is judged, the one before is read here.
  let ahead: { readonly documents: readonly Document[]; readonly said: Promise<readonly string[]> } | undefined;
  const finish = async () => {
    if (ahead === undefined) return;
    const { documents } = ahead;
    const said = await ahead.said;
    for (const [at, document] of documents.entries()) record(document, said[at] ?? '', outcome);
  };
  for (const documents of batches) {
    const said = judge.judge(documents);
    await finish();
    ahead = { documents, said };
    if (outcome.failures.length >= mostKept) break;
  }
  await finish();
}

function record(document: Document, said: string, outcome: Outcome): void {
  const { difference, side, reason } = compare(document, said);
  const key = `${side}\t${reason}`;
  outcome.sides.set(key, (outcome.sides.get(key) ?? 0) + 1);
  if (difference === undefined) return;
  const member = kindOf(difference);
  // Of each kind a few, so that the first one does not hide the others.
  const alike = outcome.failures.filter((one) => kindOf(one.difference) === member);
  if (alike.length < 3) outcome.failures.push({ document, difference });
  outcome.differing++;
}

function* inBatches(documents: Iterable<Document>): Generator<readonly Document[]> {
  let batch: Document[] = [];
  for (const document of documents) {
    batch.push(document);
    if (batch.length < batchSize) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

function* generated(seed: number, count: number): Generator<Document> {
  for (let at = 0; at < count; at++) yield generate(seed, at, requestTypes);
}

/** Reads without the guard what has two readings: if nothing differs then, this run would see nothing at all. */
async function checkSight(judge: Judge): Promise<void> {
  const blind: string[] = [];
  const naive = (bytes: Buffer) => ({ ...JSON.parse(bytes.toString()) });
  for (const type of requestTypes) {
    const documents: Document[] = [];
    for (const document of handmade([type])) if (documents.push(document) === 300) break;
    const said = await judge.judge(documents);
    const seen = documents.some((one, at) => {
      const { difference, side } = compare(one, said[at] ?? '', (document) => readOurs(document, naive));
      return side === 'both' && difference !== undefined;
    });
    if (!seen) blind.push(type);
  }
  if (blind.length > 0) throw new Error(`The comparison sees no difference where there is one: ${blind.join(', ')}.`);
}

/** Which member differs, wherever in a list it stands. */
function kindOf(difference: string): string {
  return (difference.split(':')[0] ?? '').replace(/\d+/g, '');
}

async function keep(judge: Judge, { document, difference }: Outcome['failures'][number]): Promise<string> {
  const { type } = document;
  const member = kindOf(difference);
  const bytes = await minimise(document.bytes, async (candidate) => {
    const one = { type, bytes: candidate };
    const [said = ''] = await judge.judge([one]);
    return kindOf(compare(one, said).difference ?? '') === member;
  });
  const name = `${type}.${createHash('sha256').update(bytes).digest('hex').slice(0, 10)}.body`;
  await mkdir(regressions, { recursive: true });
  await writeFile(join(regressions, name), bytes);
  const one = { type, bytes };
  const [said = ''] = await judge.judge([one]);
  return `${name}: ${bytes.toString('utf8').slice(0, 300)}\n    ${compare(one, said).difference}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      documents: { type: 'string', default: '1000000' },
      seed: { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const count = Number(values.documents);
  const judge = await startJudge(requestTypes);
  const began = performance.now();
  const outcome: Outcome = { differing: 0, sides: new Map(), failures: [] };
  try {
    await checkSight(judge);
    const kept = await loadKept();
    console.log(`parse: seed ${seed}; kept documents (${kept.length}), those made by hand, ${count} generated ones`);
    console.log(`parse: of ${requestTypes.join(', ')}`);
    await judgeAll(judge, inBatches(kept), outcome);
    await judgeAll(judge, inBatches(handmade(requestTypes)), outcome);
    await judgeAll(judge, inBatches(generated(seed, count)), outcome);
    for (const failure of outcome.failures.slice(0, mostKept)) console.log(`  ${await keep(judge, failure)}`);
  } finally {
    await judge.close();
  }
  report(outcome, values.verbose, (performance.now() - began) / 1000);
  return outcome.failures.length > 0 ? 1 : 0;
}

function report({ sides, differing }: Outcome, verbose: boolean, seconds: number): void {
  const sums = new Map<string, number>();
  let all = 0;
  for (const [key, count] of sides) {
    const side = key.split('\t')[0] ?? '';
    sums.set(side, (sums.get(side) ?? 0) + count);
    all += count;
  }
  const parts = [...sums].sort().map(([side, count]) => `${side} ${count}`);
  console.log(`parse: ${all} documents in ${seconds.toFixed(1)} s; read by ${parts.join(', ')}; ${differing} differ`);
  const classes = [...sides].filter(([key]) => !key.startsWith('both')).sort(([, one], [, other]) => other - one);
  for (const [key, count] of classes.slice(0, verbose ? classes.length : 0)) console.log(`  ${count}\t${key}`);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`parse: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
