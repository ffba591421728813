/**
 * Carries out the steps of the Dockerfile without a container engine. What stands in for the base images: for those that
 * something is built in, this machine, in a layer of its own over its root, with the project's Node; for the last one the
 * C and C++ libraries of this machine and a user, and nothing else. Needs root, for mounts.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parseDockerfile, type Stage } from './dockerfile.ts';

const checkout = fileURLToPath(new URL('../../../', import.meta.url));
export const stages = parseDockerfile(readFileSync(join(checkout, 'Dockerfile'), 'utf8'));

export interface Image {
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly uid: number;
  readonly gid: number;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
}

/** @returns false, or why it can't be done here */
export function whyNoImage(): false | string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounts need root on Linux';
  const mounts = spawnSync('unshare', ['--mount', 'true']).status === 0;
  if (!mounts) return 'this machine lets nobody make mount namespaces';
  return spawnSync('go', ['version']).status === 0 ? false : 'Go is missing';
}

/** @param work an empty directory */
export function buildImage(work: string, say: (text: string) => void): Image {
  const uppers = new Map<string, string>();
  let image: Image | undefined;
  for (const stage of stages) {
    const began = performance.now();
    image = carryOut(stage, work, uppers);
    say(`${stage.name} (in the place of ${stage.base}): ${Math.round(performance.now() - began) / 1000} s`);
  }
  if (image === undefined) throw new Error('The Dockerfile has no stage.');
  return image;
}

function carryOut(stage: Stage, work: string, uppers: Map<string, string>): Image {
  const root = join(work, stage.name, 'root');
  mkdirSync(root, { recursive: true });
  uppers.set(stage.name, root);
  if (stage.name === 'final') layBareRoot(root);
  else layNode(root);
  let [workdir, uid, gid] = ['/', 0, 0];
  let env: Readonly<Record<string, string>> = {};
  let [entrypoint, cmd, healthcheck]: Array<readonly string[]> = [[], [], []];
  for (const step of stage.steps) {
    if (step.kind === 'workdir') {
      workdir = step.path;
      mkdirSync(join(root, workdir), { recursive: true });
    } else if (step.kind === 'env') env = { ...env, ...step.values };
    else if (step.kind === 'copy') copy(step.from, step.sources, step.to);
    else if (step.kind === 'run') runIn(root, join(work, stage.name), step.command, workdir, env);
    else if (step.kind === 'user') ({ uid, gid } = step);
    else if (step.kind === 'entrypoint') entrypoint = step.command;
    else if (step.kind === 'cmd') cmd = step.command;
    else if (step.kind === 'healthcheck') healthcheck = step.command;
  }
  return { root, env, workdir, uid, gid, entrypoint: entrypoint ?? [], cmd: cmd ?? [], healthcheck: healthcheck ?? [] };

  /** As the builder has it: of a directory its content, several sources into a directory. */
  function copy(from: string | undefined, sources: readonly string[], to: string): void {
    const base = from === undefined ? checkout : uppers.get(from);
    if (base === undefined) throw new Error(`no stage ${from}`);
    const target = join(root, posix.resolve(workdir, to));
    const files = sources.flatMap((source) => {
      const found = globSync(source.replace(/^\//, ''), { cwd: base });
      if (found.length === 0) throw new Error(`COPY finds no ${source}`);
      return found.map((file) => join(base, file));
    });
    for (const file of files) {
      if (from === undefined) refuseIgnored(file);
      const isInto = to.endsWith('/') || to === '.' || files.length > 1;
      const place = statSync(file).isDirectory() || !isInto ? target : join(target, basename(file));
      mkdirSync(dirname(place), { recursive: true });
      cpSync(file, place, { recursive: true, verbatimSymlinks: true });
    }
  }
}

/** What .dockerignore keeps out is not there for a builder. */
function refuseIgnored(file: string): void {
  const name = file.slice(checkout.length);
  const kept = readFileSync(join(checkout, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1));
  if (!kept.some((pattern) => name === pattern || name.startsWith(`${pattern}/`) || posix.matchesGlob(name, pattern)))
    throw new Error(`.dockerignore keeps ${name} out, and the Dockerfile copies it`);
}

function layNode(root: string): void {
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
  cpSync(process.execPath, join(root, 'usr/local/bin/node'));
}

/** Of a machine with glibc: what gcr.io/distroless/cc has. */
function layBareRoot(root: string): void {
  for (const each of ['etc', 'tmp', 'proc', 'dev', 'run/secrets', 'usr/lib', 'home/nonroot'])
    mkdirSync(join(root, each), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n',
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n');
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
  const { stdout } = spawnSync('ldd', [process.execPath], { encoding: 'utf8' });
  for (const [, path = ''] of stdout.matchAll(
    /(\/\S*\/(?:ld-linux[^/ ]*|lib(?:c|m|dl|pthread|stdc\+\+|gcc_s)\.so\.\d+))/g,
  )) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(realpathSync(path), join(root, path));
  }
}

/** In a layer over this machine's root: what is written there is in `root` afterwards, and nowhere else. */
function runIn(
  root: string,
  directory: string,
  command: string,
  workdir: string,
  env: Readonly<Record<string, string>>,
): void {
  const [merged, work] = [join(directory, 'merged'), join(directory, 'work')];
  for (const each of [merged, work]) mkdirSync(each, { recursive: true });
  const script = [
    'set -e',
    'mount -t overlay overlay -o "lowerdir=/,upperdir=$ROOT,workdir=$WORK" "$MERGED"',
    'mount --rbind /dev "$MERGED/dev"',
    'mount --rbind /proc "$MERGED/proc"',
    'exec unshare --root="$MERGED" --wd="$WORKDIR" -- /bin/sh -c "$COMMAND"',
  ].join('\n');
  const path = `/usr/local/go/bin:${join(dirname(goCommand()))}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  const { status, stdout, stderr, error } = spawnSync('unshare', ['--mount', 'sh', '-c', script], {
    encoding: 'utf8',
    timeout: 15 * 60_000,
    env: {
      ...passedOn(),
      ...env,
      PATH: path,
      ROOT: root,
      WORK: work,
      MERGED: merged,
      WORKDIR: workdir,
      COMMAND: command,
    },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`RUN ${command}\n${stdout.slice(-2000)}\n${stderr.slice(-4000)}`);
}

function goCommand(): string {
  return spawnSync('sh', ['-c', 'command -v go'], { encoding: 'utf8' }).stdout.trim();
}

/** How this machine reaches registries, and where its caches are; nothing of the npm script that runs this. */
function passedOn(): Record<string, string> {
  const names =
    /^(?:HOME|GO(?:PROXY|CACHE|MODCACHE|PATH|SUMDB|NOSUMDB)|npm_config_registry|.*_proxy|.*_PROXY|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS)$/;
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      names.test(name) && value !== undefined ? [[name, value]] : [],
    ),
  );
}

/** The command that runs one of the image's in its root: as its user, the root read-only. @param mounts by their place */
export function inImage(
  image: Image,
  command: readonly string[],
  mounts: Readonly<Record<string, string>>,
): readonly string[] {
  for (const place of Object.keys(mounts)) mkdirSync(join(image.root, place), { recursive: true });
  for (const device of ['null', 'urandom']) {
    const place = join(image.root, 'dev', device);
    if (!existsSync(place)) writeFileSync(place, '');
  }
  const script = [
    'set -e',
    'mount --bind "$1" "$1"',
    ...['null', 'urandom'].map((device) => `mount --bind /dev/${device} "$1/dev/${device}"`),
    'mount -t proc proc "$1/proc"',
    ...Object.entries(mounts).map(
      ([place, source]) => `mount --bind "${source}" "$1${place}"; mount -o remount,ro,bind "$1${place}"`,
    ),
    'mount -o remount,ro,bind "$1"',
    'root=$1; shift',
    `exec setpriv --no-new-privs unshare --root="$root" --wd=${image.workdir} --setgid=${image.gid} --setuid=${image.uid} -- "$@"`,
  ].join('\n');
  return ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script, 'sh', image.root, ...command];
}
