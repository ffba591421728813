/**
 * Builds opa/ into opa/build/opa.wasm: OPA's compiler, tester and formatter as one WebAssembly module; on Linux and macOS
 * also into a program of this machine, which does the same several times faster (docs/decisions/028-native-tool-chain.md).
 *
 *     node scripts/build-opa.mjs             what `npm ci` runs: says what is missing and succeeds all the same
 *     node scripts/build-opa.mjs --required  fails if the module can't be built
 *     node scripts/build-opa.mjs --verify    builds copies in other directories and compares them byte by byte
 *
 * Plain JavaScript for Node 20: `npm ci` may run it before a newer Node is there.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../opa/', import.meta.url));
const output = join(source, 'build', 'opa.wasm');
// As src/opa-module/module-file.ts looks for it: one that was built for another machine is not taken for this one's.
const programName = `opa-${process.platform}-${process.arch}`;
const hasProgram = ['linux', 'darwin'].includes(process.platform);
const stampFile = join(source, 'build', 'stamp');
const oldestGo = [1, 21];
const buildLimitMs = 15 * 60_000;

// Nothing of the machine may get into the module: no paths, no commit, no build id, and none of the user's own flags.
const flags = ['-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid='];
const moduleFlags = [...flags, '-buildmode=c-shared'];
const settings = {
  CGO_ENABLED: '0',
  GOFLAGS: '',
  GOWORK: 'off',
  GOWASM: '',
  GOEXPERIMENT: '',
};
const target = { ...settings, GOOS: 'wasip1', GOARCH: 'wasm' };
// Empty: those of this machine.
const programTarget = { ...settings, GOOS: '', GOARCH: '' };

class BuildError extends Error {}

/** @returns {string} what the command printed */
function go(directory, args, environment = target) {
  const done = spawnSync('go', args, {
    cwd: directory,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
    timeout: buildLimitMs,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (done.error) throw new BuildError(`go ${args[0]}: ${done.error.message}`);
  if (done.status !== 0) throw new BuildError(`go ${args[0]} failed:\n${done.stderr.trim()}`);
  return done.stdout.trim();
}

/** @returns {string | undefined} why Go can't be used, in a few words */
function whyNoGo() {
  // GOTOOLCHAIN=local: the Go that is installed; go.mod may then ask it to fetch a newer one.
  const done = spawnSync('go', ['env', 'GOVERSION'], {
    cwd: tmpdir(),
    env: { ...process.env, GOTOOLCHAIN: 'local', GOWORK: 'off' },
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (done.error || done.status !== 0) return 'Go is not installed';
  const version = done.stdout.trim();
  const [major = 0, minor = 0] = (/^go(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
  const old = major < oldestGo[0] || (major === oldestGo[0] && minor < oldestGo[1]);
  // A development version of Go has no number; let it try.
  return old && version.startsWith('go') ? `Go is too old (${version})` : undefined;
}

function sourceFiles() {
  return readdirSync(source)
    .filter((name) => name.endsWith('.go') || name === 'go.mod' || name === 'go.sum')
    .sort();
}

/** Changes when anything that goes into the module does. */
function inputsHash() {
  const hash = createHash('sha256').update(JSON.stringify([go(source, ['version']), moduleFlags, target]));
  for (const name of sourceFiles()) hash.update(`\0${name}\0`).update(readFileSync(join(source, name)));
  return hash.digest('hex');
}

function isBuiltFrom(stamp) {
  return existsSync(output) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
}

function build(directory, file) {
  go(directory, ['build', ...moduleFlags, '-o', file, '.']);
}

function buildProgram(file) {
  go(source, ['build', ...flags, '-o', file, '.'], programTarget);
}

function sha256(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

function buildIfChanged() {
  const stamp = inputsHash();
  const program = join(source, 'build', programName);
  if (isBuiltFrom(stamp) && (!hasProgram || existsSync(program))) return;
  const began = Date.now();
  console.error('opallama: building opa/build/opa.wasm with Go (a minute with empty caches) ...');
  mkdirSync(join(source, 'build'), { recursive: true });
  // The old module stays until the new one is whole.
  const fresh = join(source, 'build', `fresh-${process.pid}`);
  try {
    build(source, fresh);
    rmSync(stampFile, { force: true });
    // Without a program, or with none that fits, the module does its work.
    rmSync(program, { force: true });
    renameSync(fresh, output);
    if (hasProgram) {
      buildProgram(fresh);
      renameSync(fresh, program);
    }
    writeFileSync(stampFile, stamp);
  } finally {
    rmSync(fresh, { force: true });
  }
  console.error(`opallama: built opa/build/opa.wasm in ${Math.round((Date.now() - began) / 1000)} s`);
}

/** Two copies, one inside a git repository with a commit: neither place nor commit may show in the bytes. */
function verify() {
  const root = mkdtempSync(join(tmpdir(), 'opallama-verify-'));
  try {
    const sums = ['plain', join('a', 'deeper', 'place')].map((name, index) => {
      const copy = join(root, name);
      mkdirSync(copy, { recursive: true });
      for (const file of sourceFiles()) cpSync(join(source, file), join(copy, file));
      if (index === 1) commit(copy);
      build(copy, join(copy, 'opa.wasm'));
      return sha256(join(copy, 'opa.wasm'));
    });
    if (isBuiltFrom(inputsHash())) sums.push(sha256(output));
    console.log(sums.join('\n'));
    if (new Set(sums).size !== 1)
      throw new BuildError('The builds differ; equal sources and one Go must give equal bytes.');
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function commit(directory) {
  for (const args of [
    ['init', '--quiet'],
    ['add', '.'],
    ['-c', 'user.name=verify', '-c', 'user.email=verify@localhost', 'commit', '--quiet', '--no-verify', '-m', 'copy'],
  ]) {
    const done = spawnSync('git', args, { cwd: directory, encoding: 'utf8' });
    if (done.error || done.status !== 0) throw new BuildError(`git ${args[0]}: ${done.error?.message ?? done.stderr}`);
  }
}

const required = process.argv.includes('--required') || process.argv.includes('--verify');
const otherWays =
  'Without it Rego is compiled by an "opa" command on the PATH, or not at all: a bundle made by "opa build -t wasm" needs none.';

try {
  const missing = whyNoGo();
  if (missing !== undefined) {
    console.error(
      `opallama: ${missing}: opa/build/opa.wasm is not built, which needs Go ${oldestGo.join('.')} or newer. ${otherWays}`,
    );
    if (required) process.exitCode = 1;
  } else if (process.argv.includes('--verify')) {
    verify();
  } else {
    buildIfChanged();
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`opallama: opa/build/opa.wasm could not be built.\n${error.message}\n${otherWays}`);
  console.error('opallama: "npm run build:opa -- --required" tries again.');
  if (required) process.exitCode = 1;
}
