/** Blocks of a paper in one shell, as a reader would follow them, held to what the paper says that they print. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Block, commandLines } from './blocks.ts';
import type { Place } from './place.ts';

/** What is different about a line: a prefix that names a function of `prelude`. */
export type Way = string;

/** It runs on, in the background, and is there when it has said so: an extended regular expression. */
export const stays = (pattern: string): Way => `stays ${quote(pattern)}`;
/** It would run on: when it has said so, it gets a Ctrl+C. */
export const interrupted = (pattern: string): Way => `interrupted ${quote(pattern)}`;
/** It ends with this code, which is what it has to say. */
export const exits = (code: number): Way => `exits ${code}`;

export interface Step {
  readonly block: Block;
  /** What the paper takes for granted here, or has its reader do in words: shell, whose output counts for nothing. */
  readonly before?: string;
  /** By the line. */
  readonly ways?: Readonly<Record<string, Way>>;
}

/** @param special by the beginning of the first line of a block: what is different about that one */
export function stepsOf(
  blocks: readonly Block[],
  special: Readonly<Record<string, Omit<Step, 'block'>>>,
): readonly Step[] {
  for (const key of Object.keys(special))
    assert.equal(blocks.filter(({ first }) => first.startsWith(key)).length, 1, `blocks that begin with ${key}`);
  return blocks.map((block) => {
    const key = Object.keys(special).find((each) => block.first.startsWith(each));
    return { block, ...(key !== undefined && special[key]) };
  });
}

const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

const prelude = `
set -Ee -o pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
number=0
seen() { # pattern: waits until what stays has said so, 60 s at most
  local try
  for try in $(seq 600); do
    if grep -qE -e "$1" "$out" "$err"; then return; fi
    if ! kill -0 $background 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "never said: $1" >&2; cat "$out" "$err" >&2; return 1
}
stays() {
  local pattern=$1; shift
  number=$((number + 1)) out=$SESSION/$number.out err=$SESSION/$number.err
  set -m; "$@" >"$out" 2>"$err" & background=$!; set +m
  echo $background >>"$SESSION/groups"
  seen "$pattern"
  cat "$out"; cat "$err" >&2
}
stop() { # what stays, by a Ctrl+C to its whole group; npm ends with a code of its own
  kill -INT -- "-$background"; wait $background || true
}
interrupted() { # a Ctrl+C ends it in good order, or as it ends any program
  local before="$background $out $err" code=0
  stays "$@"; kill -INT -- "-$background"; wait $background || code=$?
  read -r background out err <<< "$before"; test $code = 0 || test $code = 130
}
exits() { local expected=$1 code=0; shift; "$@" || code=$?; test "$code" = "$expected"; }
`;

const marker = '--- end of a block ---';
const mark = `echo '${marker}'; echo '${marker}' >&2`;

/**
 * @returns of each step what it printed to standard output
 * @throws where a command ends with another code than 0, or does not print what the paper shows
 */
export async function follow(t: TestContext, place: Place, steps: readonly Step[]): Promise<readonly string[]> {
  assert.ok(steps.length > 0);
  const parts = steps.map((step) => [step.before ?? '', mark, place.translate(scriptOf(step)), mark].join('\n'));
  const script = join(place.session, 'script');
  writeFileSync(script, [prelude, ...parts, ''].join('\n'));
  const shell = spawn('bash', [script], { cwd: place.directory, env: place.env, detached: true, stdio: 'pipe' });
  shell.stdin.end();
  t.after(() => killGroup(shell.pid));
  const [printed, told] = [collect(shell.stdout), collect(shell.stderr)];
  const closed = once(shell, 'close');
  const [code] = await once(shell, 'exit');
  // Where it failed halfway, what it left in the background; a group of its own, which nobody else is in.
  killGroup(shell.pid);
  for (const pid of groupsIn(join(place.session, 'groups'))) killGroup(pid);
  await closed;
  const logs = readdirSync(place.session)
    .filter((name) => /\.(?:out|err|log)$/.test(name))
    .map((name) => `--- ${name}\n${readFileSync(join(place.session, name), 'utf8')}`);
  assert.equal(code, 0, [printed.text, told.text, ...logs].join('\n'));
  const halves = [printed, told].map(({ text }) => text.split(`${marker}\n`));
  for (const [index, { block }] of steps.entries()) {
    const outputs = halves.map((half) => half[2 * index + 1] ?? '');
    const missing = outputs.map((output) => firstMissing(block.shown.map(place.translate), output));
    assert.ok(
      missing.includes(undefined),
      `${block.paper} shows below ${block.first}\n${missing[0]}\nwhich is not printed there:\n${outputs.join('\n')}`,
    );
    const log = logs.join('\n');
    assert.equal(firstMissing(block.logged, log), undefined, `${block.paper}: no such line\n${log}`);
    const errors = (outputs[0] ?? '').split('\n').filter((line) => line.startsWith('{"error"'));
    const isShown = (error: string) => block.shown.some((line) => patternOf(line).test(abstract(error)));
    assert.deepEqual(
      errors.filter((error) => !isShown(error)),
      [],
      block.first,
    );
  }
  return steps.map((_, index) => halves[0]?.[2 * index + 1] ?? '');
}

function scriptOf({ block, ways = {} }: Step): string {
  const lines = commandLines(block.text);
  for (const line of Object.keys(ways)) assert.ok(lines.includes(line), `${block.paper} has no line ${line}`);
  // Lines are taken as they stand, unless one of them is treated in a way of its own.
  if (Object.keys(ways).length === 0) return block.text;
  assert.ok(!block.text.includes('<<'), `${block.first}: a file that is written would be lost`);
  return lines.map((line) => [ways[line], line].filter((word) => word !== undefined).join(' ')).join('\n');
}

/** @returns the first of the lines that are not there, in their order; of several that differ only in `...` any will do */
function firstMissing(shown: readonly string[], output: string): string | undefined {
  const lines = output.split('\n').map(abstract);
  let from = 0;
  for (const line of shown) {
    const pattern = patternOf(line);
    const at = lines.findIndex((each, index) => index >= from && pattern.test(each));
    if (at < 0) return line;
    from = at + 1;
  }
  return undefined;
}

function patternOf(line: string): RegExp {
  const parts = abstract(line).split('...');
  return new RegExp(`^${parts.map((part) => part.replace(/[^\w\s]/g, '\\$&')).join('.*')}$`);
}

/** What differs from run to run: names of revisions, ids, times, sizes; and how wide that makes columns. */
export function abstract(line: string): string {
  return line
    .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b/g, '<id>')
    .replace(/\b[0-9a-f]{7,12}\b/g, '<revision>')
    .replace(/\b[\d.]+ (?=KiB|ms|s\b)/g, '<number> ')
    .replace(/(?<=_ms":)[\d.]+/g, '<number>')
    .replace(/\bopl_\w{12}_[\w-]+|\bocs_[\w-]{40,}/g, '<secret>')
    .replace(/ {2,}/g, '  ')
    .trimEnd();
}

function collect(stream: NodeJS.ReadableStream): { text: string } {
  const collected = { text: '' };
  stream.setEncoding('utf8').on('data', (text: string) => {
    collected.text += text;
  });
  return collected;
}

function groupsIn(file: string): readonly number[] {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];
}

function killGroup(pid: number | undefined): void {
  if (pid !== undefined) spawnSync('kill', ['--', `-${pid}`]);
}
