/**
 * Looks whether an audit log is what its writer wrote, and says where it is not. The chain shows a line that was changed
 * or taken out; the signed heads, lines that were cut off at the end and a chain that was made anew.
 */
import type { KeyObject } from 'node:crypto';

import { eachLine, type FileLine } from './each-line.ts';
import { type Head, readHead } from './heads.ts';
import { type Link, origin, readSeal, type Sealed } from './seal.ts';

export type FindingCode =
  | 'changed'
  | 'unreadable'
  | 'missing'
  | 'out_of_order'
  | 'rewritten'
  | 'cut'
  | 'torn'
  | 'damaged'
  | 'other_chain'
  | 'forged_head'
  | 'empty';

export interface Finding {
  readonly code: FindingCode;
  /** Where it shows: a file of the log, or the one with the heads. */
  readonly file: string;
  readonly line: number | undefined;
  /** Of the line, as far as it is known. */
  readonly seq: number | undefined;
  readonly message: string;
}

export interface Verification {
  readonly chain: string | undefined;
  readonly firstSeq: number | undefined;
  readonly lastSeq: number | undefined;
  readonly lines: number;
  /** Heads of this chain that were looked at, and the number of the last line that one vouches for. */
  readonly heads: number;
  readonly vouchedSeq: number | undefined;
  readonly findings: readonly Finding[];
  /** Findings beyond those that are listed. */
  readonly more: number;
  /** What is as it should be and worth knowing. */
  readonly notes: readonly string[];
}

export interface VerifyQuestion {
  /** Of the log, the oldest first. */
  readonly files: readonly string[];
  /** Public; heads count only where they are signed by it. */
  readonly key: KeyObject | undefined;
  /** The file that heads were sent to; other lines in it are passed over. */
  readonly heads: string | undefined;
  /** The heads may be of several logs. */
  readonly allowOtherChains: boolean;
}

const mostFindings = 1000;
/** A head stands in the chain behind lines that were written while it was signed. */
const mostHashes = 50_000;

/** @throws (rejects) what the file system throws */
export async function verifyLog(question: VerifyQuestion): Promise<Verification> {
  const findings: Finding[] = [];
  const notes: string[] = [];
  let more = 0;
  const find = (code: FindingCode, place: Place, message: string): void => {
    if (findings.length < mostFindings) findings.push({ code, ...place, message });
    else more += 1;
  };
  const sent = question.heads === undefined ? [] : await readHeads(question.heads, question.key, find);
  const vouched = groupBySeq(sent);

  let last: Link | undefined;
  let isLastIntact = true;
  let isRewritten = false;
  let lastPlace: Place = { file: question.files.at(-1) ?? '', line: undefined, seq: undefined };
  let firstSeq: number | undefined;
  let firstPlace = lastPlace;
  let chain: string | undefined;
  let lines = 0;
  let heads = 0;
  let vouchedSeq: number | undefined;
  let keptFrom = 0;
  let hashes = new Map<number, { readonly hash: string; readonly place: Place }>();
  /** To take the oldest out of a map one by one takes longer the more were taken out. */
  let formerHashes = hashes;

  for (const [at, file] of question.files.entries()) {
    await eachLine(file, (line) => {
      look(file, line, at === question.files.length - 1);
      return true;
    });
  }
  conclude();
  return { chain, firstSeq, lastSeq: last?.seq, lines, heads, vouchedSeq, findings, more, notes };

  function look(file: string, { number, bytes, ended }: FileLine, isLastFile: boolean): void {
    const seal = bytes && readSeal(bytes);
    const place: Place = { file, line: number, seq: seal?.seq };
    if (!ended && seal === undefined) {
      if (isLastFile) notes.push(`${file}:${number}: the last line has no end: it is being written, or a crash cut it`);
      else find('torn', place, 'the line has no end, and the log goes on in the next file');
      return;
    }
    lines += 1;
    const expected = last === undefined ? undefined : last.seq + 1;
    if (bytes === undefined || seal === undefined) {
      find('unreadable', { ...place, seq: expected }, 'this is no line of an audit log');
      if (expected !== undefined) last = { seq: expected, hash: '' };
      isLastIntact = false;
      return;
    }
    if (seal.intact) {
      follow(seal, place);
      if (special.has(seal.event)) readOwn(seal, bytes, place);
    } else {
      // Of a line that was changed nothing counts: it may have been any, and is taken for the one that belongs here.
      const seq = expected ?? seal.seq;
      find('changed', { ...place, seq }, `line ${seq} is not what was written: its hash is another one`);
      if (firstSeq === undefined) [firstSeq, firstPlace] = [seq, place];
      last = { seq, hash: seal.hash };
      lastPlace = place;
    }
    isLastIntact = seal.intact;
  }

  function follow(seal: Sealed, place: Place): void {
    if (last === undefined) {
      [firstSeq, firstPlace] = [seal.seq, place];
      if (seal.seq === 0 && seal.prev !== origin.hash)
        find('rewritten', place, 'the first line follows another one: it was not the first');
    } else if (seal.seq > last.seq + 1) {
      find('missing', place, `${range(last.seq + 1, seal.seq - 1)} missing before this one`);
    } else if (seal.seq <= last.seq) {
      find('out_of_order', place, `line ${seal.seq} stands behind line ${last.seq}`);
    } else if (isLastIntact && seal.prev !== last.hash) {
      const where = formatPlace(lastPlace);
      find('rewritten', place, `line ${seal.seq} does not follow the line before it (${where}): one was made anew`);
    }
    last = { seq: seal.seq, hash: seal.hash };
    lastPlace = place;
    hashes.set(seal.seq, { hash: seal.hash, place });
    if (hashes.size >= mostHashes) [hashes, formerHashes] = [new Map(), hashes];
    for (const head of vouched.get(seal.seq) ?? []) if (head.chain === chain || chain === undefined) check(head);
  }

  function readOwn(seal: Sealed, bytes: Buffer, place: Place): void {
    const text = bytes.toString('utf8');
    const facts = parseObject(text);
    if (facts === undefined) {
      find('unreadable', place, 'the line is no JSON');
      return;
    }
    if (seal.event === 'open') {
      const named = String(facts['chain']);
      if (chain !== undefined && named !== chain)
        find('other_chain', place, `from here on this is another log: chain ${named}, not ${chain}`);
      const isFirst = chain === undefined;
      chain = named;
      if (isFirst) for (const head of vouched.get(seal.seq) ?? []) if (head.chain === chain) check(head);
      if (Number(facts['damaged_lines'] ?? 0) > 0)
        find('damaged', place, `${facts['damaged_lines']} lines before this start were not what was written`);
      if (facts['reason'] === 'vanished') notes.push(`${formatPlace(place)}: somebody had taken the file away`);
    } else if (seal.event === 'retention') {
      keptFrom = Math.max(keptFrom, Number(facts['first_seq'] ?? 0));
    } else if (seal.event === 'gap') {
      notes.push(`${formatPlace(place)}: ${facts['lost']} lines could not be kept, the disk took none`);
    } else if (question.key !== undefined) {
      const head = readHead(text.slice(text.indexOf('"head":') + 7, text.lastIndexOf('},"hash":"') + 1), question.key);
      if (head === 'forged' || head === undefined)
        find('forged_head', place, 'the head in this line is not signed by the key');
      else check(head, place);
    }
  }

  /** @param at where the head stands, if it does in the chain */
  function check(head: Head, at?: Place): void {
    const there = hashes.get(head.seq) ?? formerHashes.get(head.seq);
    if (head.chain !== chain && at === undefined) return;
    if (there === undefined) return;
    heads += at === undefined ? 1 : 0;
    if (there.hash === head.hash && head.chain === chain) {
      vouchedSeq = Math.max(vouchedSeq ?? 0, head.seq);
      return;
    }
    // The heads behind it say the same.
    if (isRewritten) return;
    isRewritten = true;
    const since = vouchedSeq === undefined ? 'from the first line' : `behind line ${vouchedSeq}`;
    const what = `line ${head.seq} is not the one that was signed at ${head.time}: ${since} up to it lines were made anew`;
    find('rewritten', there.place, what);
  }

  function conclude(): void {
    if (last === undefined) {
      find('empty', lastPlace, 'there is no line of an audit log');
      return;
    }
    if (firstSeq !== undefined && firstSeq > keptFrom)
      find('missing', firstPlace, `${range(keptFrom, firstSeq - 1)} missing before the first one`);
    if (firstSeq !== undefined && keptFrom > 0) notes.push(`lines before ${keptFrom} were deleted as audit.keep says`);
    const own = sent.filter((head) => head.chain === chain);
    const latest = own.reduce<Head | undefined>((a, b) => (a === undefined || b.seq > a.seq ? b : a), undefined);
    const end = last.seq;
    if (latest !== undefined && latest.seq > end)
      find(
        'cut',
        lastPlace,
        `${range(end + 1, latest.seq)} missing at the end: line ${latest.seq} was signed at ${latest.time}`,
      );
    findOthers(own);
    if (question.key === undefined)
      notes.push('no public key was given: lines cut off at the end, and a log made anew, do not show');
    else if (question.heads === undefined)
      notes.push('no file with heads was given: lines cut off at the end do not show');
    else if (vouchedSeq !== undefined && vouchedSeq < end)
      notes.push(`${range(vouchedSeq + 1, end)} behind the last head: nothing but the chain speaks for them`);
  }

  function findOthers(own: readonly Head[]): void {
    const others = Map.groupBy(
      sent.filter((head) => head.chain !== chain),
      (head) => head.chain,
    );
    const place = { file: question.heads ?? '', line: undefined, seq: undefined };
    for (const [other, its] of others) {
      const seq = Math.max(...its.map((head) => head.seq));
      const time = its.at(-1)?.time;
      const what = `heads vouch for another log, chain ${other}, up to its line ${seq} at ${time}; this one is chain ${chain}`;
      if (question.allowOtherChains && own.length > 0) notes.push(what);
      else find('other_chain', place, `${what}: it was put in its place, or the heads are of several sidecars`);
    }
    if (question.heads !== undefined && own.length === 0 && others.size === 0)
      find('cut', place, 'there is no head of this log: they were taken away, or it was put in the place of another');
    const first = own.reduce<Head | undefined>((a, b) => (a === undefined || b.seq < a.seq ? b : a), undefined);
    if (first !== undefined && firstSeq === 0 && first.seq > 0)
      notes.push(`${range(0, first.seq - 1)} older than the first head: they are what they were when it was signed`);
  }
}

interface Place {
  readonly file: string;
  readonly line: number | undefined;
  readonly seq: number | undefined;
}

const special: ReadonlySet<string> = new Set(['open', 'retention', 'gap', 'head']);

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function formatPlace({ file, line }: Place): string {
  return line === undefined ? file : `${file}:${line}`;
}

function range(from: number, to: number): string {
  return from === to ? `line ${from} is` : `lines ${from} to ${to} are`;
}

function groupBySeq(heads: readonly Head[]): ReadonlyMap<number, readonly Head[]> {
  return Map.groupBy(heads, ({ seq }) => seq);
}

async function readHeads(
  file: string,
  key: KeyObject | undefined,
  find: (code: FindingCode, place: Place, message: string) => void,
): Promise<readonly Head[]> {
  const heads: Head[] = [];
  if (key === undefined) return heads;
  await eachLine(file, ({ number, bytes, ended }) => {
    const text = bytes?.toString('utf8') ?? '';
    const head = readHead(text, key);
    const place = { file, line: number, seq: undefined };
    if (head === 'forged') find('forged_head', place, 'the head is not signed by the key');
    else if (head !== undefined) heads.push(head);
    // On standard output they stand among other lines.
    else if (text.includes('"audit_head"') && ended) find('forged_head', place, 'the head can not be read');
    return true;
  });
  return heads;
}
