/** The command line: one file per command under `cli/`. Exit codes: 0, 1 for a finding, 2 for a wrong call or config. */
import { Command, CommanderError } from 'commander';

import type { CliDeps } from './cli/config-options.ts';
import { environment } from './config/environment.ts';
import { CallError, ConfigError, PolicyError } from './errors.ts';
import { readVersion } from './version.ts';

type Register = (program: Command, deps: CliDeps) => void;

/** Loaded when asked for: a sidecar that serves needs nothing of the others. In the order of the help text. */
export const commands: ReadonlyMap<string, () => Promise<Register>> = new Map([
  ['quickstart', async () => (await import('./cli/quickstart.ts')).registerQuickstart],
  ['serve', async () => (await import('./cli/serve.ts')).registerServe],
  ['check', async () => (await import('./cli/check.ts')).registerCheck],
  ['test', async () => (await import('./cli/test.ts')).registerTest],
  ['fmt', async () => (await import('./cli/fmt.ts')).registerFmt],
  ['build', async () => (await import('./cli/build.ts')).registerBuild],
  ['bench', async () => (await import('./cli/bench.ts')).registerBench],
  ['eval', async () => (await import('./cli/eval.ts')).registerEval],
  ['explain', async () => (await import('./cli/explain.ts')).registerExplain],
  ['diff', async () => (await import('./cli/diff.ts')).registerDiff],
  ['replay', async () => (await import('./cli/replay.ts')).registerReplay],
  ['audit', async () => (await import('./cli/audit.ts')).registerAudit],
  ['init', async () => (await import('./cli/init.ts')).registerInit],
  ['schema', async () => (await import('./cli/schema.ts')).registerSchema],
  ['status', async () => (await import('./cli/status.ts')).registerStatus],
  ['reload', async () => (await import('./cli/reload.ts')).registerReload],
  ['rollback', async () => (await import('./cli/rollback.ts')).registerRollback],
  ['rollout', async () => (await import('./cli/rollout.ts')).registerRollout],
  ['log-level', async () => (await import('./cli/log-level.ts')).registerLogLevel],
  ['client', async () => (await import('./cli/client.ts')).registerClient],
  ['keys', async () => (await import('./cli/keys.ts')).registerKeys],
  ['support-bundle', async () => (await import('./cli/support-bundle.ts')).registerSupportBundle],
  ['token', async () => (await import('./cli/token.ts')).registerToken],
]);

/** @param argv as Node gives it */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('opallama');
  program
    .description('A policy sidecar for Ollama: knows the caller, decides with Rego, proxies unbuffered, counts tokens.')
    .version(readVersion())
    .showHelpAfterError()
    .exitOverride();
  // A reader such as head may have read enough; what the command found out still stands in its exit code.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const deps = {
    environment: environment(),
    write: (text: string) => void process.stdout.write(text),
    drained: () => (process.stdout.writableNeedDrain ? waitForReader() : undefined),
  };
  const named = commands.get(argv[2] ?? '');
  for (const load of named === undefined ? commands.values() : [named]) (await load())(program, deps);
  // Commands that were added before inherit nothing from the program.
  for (const command of program.commands.flatMap((each) => [each, ...each.commands]))
    command.exitOverride().showHelpAfterError();
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    process.exitCode = report(error);
  }
}

/** @returns the exit code */
function report(error: unknown): number {
  // Help and version end this way too; commander has said what there is to say.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ConfigError) {
    process.stderr.write(`The configuration can't be used:\n${error.faults.map((fault) => `  ${fault}\n`).join('')}`);
    return 2;
  }
  if (error instanceof CallError) {
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  if (error instanceof PolicyError) {
    process.stderr.write(`${error.message}\n`);
    // Where OPA's tool chain is missing or fails, nothing was found out about the policy.
    return error.faults.length > 0 && error.faults.every(({ code }) => code.startsWith('toolchain_')) ? 2 : 1;
  }
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    process.stderr.write(
      `${error.message}. Another process listens there: stop it, or choose another address with --listen-data or --listen-ops.\n`,
    );
    return 2;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 2;
}

/** A reader that has read enough takes nothing any more, and nobody has to wait for it. */
function waitForReader(): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      process.stdout.off('drain', end).off('close', end);
      resolve();
    };
    process.stdout.once('drain', end).once('close', end);
  });
}
