/**
 * Builds Ollama's own server (CPU only) as a Go module, unpatched, with the machine's own Go caches.
 *
 * A Go module's zip leaves out directories named vendor/, so the three header sets of llama.cpp/vendor come from elsewhere,
 * through CPATH: nlohmann-json and stb from Debian's packages (the installed ones, else downloaded and unpacked), and a
 * stand-in for miniaudio from this folder.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildOnce, ollamaVersion, run } from './cache.ts';

const debianPackages = [
  { name: 'nlohmann-json3-dev', from: 'usr/include/nlohmann', to: 'nlohmann', probe: 'json.hpp' },
  { name: 'libstb-dev', from: 'usr/include/stb', to: 'stb', probe: 'stb_image.h' },
] as const;

/** @returns the path of the `ollama` command, built if it was not there. */
export async function buildOllama(): Promise<string> {
  const dir = await buildOnce(
    'bin',
    `Ollama ${ollamaVersion} from source (4 minutes with empty caches)`,
    async (bin) => {
      requireTools();
      const include = await buildOnce('include', 'the headers that its Go module leaves out', gatherHeaders);
      await run(
        'go',
        ['install', '-p', '2', '-ldflags', versionFlags(), `github.com/ollama/ollama@v${ollamaVersion}`],
        {
          // No -g and a low -O: half of the compile time, and the models are tiny.
          env: { ...process.env, GOBIN: bin, CGO_ENABLED: '1', CPATH: include, CGO_CFLAGS: '-O2', CGO_CXXFLAGS: '-O1' },
        },
      );
    },
  );
  return join(dir, 'ollama');
}

function versionFlags(): string {
  return `-s -w -X github.com/ollama/ollama/version.Version=${ollamaVersion}`;
}

/** Says all that is missing at once. */
function requireTools(): void {
  const missing: string[] = [];
  const go = /^go version go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '');
  if (go === null || Number(go[1]) < 24) missing.push('Go 1.24 or newer');
  for (const compiler of ['gcc', 'g++']) {
    if (spawnSync(compiler, ['--version']).status !== 0) missing.push(compiler);
  }
  const unpacked = debianPackages.filter(({ from, probe }) => !existsSync(join('/', from, probe)));
  if (
    unpacked.length > 0 &&
    (spawnSync('apt-get', ['--version']).status !== 0 || spawnSync('dpkg', ['--version']).status !== 0)
  ) {
    missing.push(
      `the headers of ${unpacked.map(({ name }) => name).join(' and ')} (under /usr/include, or apt-get and dpkg to fetch them)`,
    );
  }
  if (missing.length > 0)
    throw new Error(`To build Ollama ${ollamaVersion} for the tests, install: ${missing.join('; ')}.`);
}

async function gatherHeaders(include: string): Promise<void> {
  const stub = join(import.meta.dirname, 'include', 'miniaudio');
  await cp(stub, join(include, 'miniaudio'), { recursive: true });
  for (const { name, from, to, probe } of debianPackages) {
    const installed = join('/', from);
    const source = existsSync(join(installed, probe))
      ? { dir: installed, temporary: undefined }
      : await unpack(name, from);
    if (to === 'stb') {
      await mkdir(join(include, to));
      await copyFile(join(source.dir, probe), join(include, to, probe));
    } else {
      await cp(source.dir, join(include, to), { recursive: true });
    }
    if (source.temporary !== undefined) await rm(source.temporary, { recursive: true, maxRetries: 10, force: true });
  }
}

/** Downloads a Debian package and unpacks it without installing it. */
async function unpack(name: string, from: string): Promise<{ readonly dir: string; readonly temporary: string }> {
  const temporary = await mkdtemp(join(tmpdir(), 'opallama-headers-'));
  const download = () => run('apt-get', ['download', '-qq', name], { cwd: temporary });
  await download().catch(async () => {
    // A new machine knows no package until its lists are there.
    await run('apt-get', ['update', '-qq']);
    await download();
  });
  const archive = (await readdir(temporary)).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Error(`apt-get downloaded no package for ${name}.`);
  await run('dpkg', ['-x', join(temporary, archive), temporary]);
  return { dir: join(temporary, from), temporary };
}
