/** The tool chain in `opa/`, run in a child process. */
import type { z } from 'zod';
import { PolicyError } from '../../errors.ts';
import * as answers from './answers.ts';
import { type ChildOptions, createChildRunner } from './child-process.ts';
import { failure } from './failure.ts';
import type { Toolchain } from './protocol.ts';

/** @returns a tool chain that also tells the process it runs in, for tests and diagnosis */
export function createChildToolchain(
  kind: 'wasm' | 'native',
  options: ChildOptions,
): Toolchain & { pid(): number | undefined } {
  const runner = createChildRunner(options);

  async function ask<T>(
    command: string,
    request: object,
    shape: z.ZodType<T>,
  ): Promise<{ readonly result: T; readonly bytes: Uint8Array }> {
    const { json, bytes } = await runner.call(JSON.stringify({ command, ...request }));
    const answer = checked(answers.answer, JSON.parse(json));
    if (!answer.ok) throw new PolicyError(summaries[command] ?? 'The policy is not usable.', answer.faults);
    return { result: checked(shape, answer.result), bytes };
  }

  return {
    kind,
    async compile(request) {
      const { result, bytes } = await ask('compile', request, answers.compileResult);
      return { ...result, wasm: bytes };
    },
    check: async (request) => (await ask('check', request, answers.checkResult)).result,
    findings: async (request) => (await ask('findings', request, answers.findingsResult)).result,
    test: async (request) => (await ask('test', request, answers.testResult)).result,
    format: async (request) => (await ask('format', request, answers.formatResult)).result,
    inspect: async (request) => (await ask('inspect', request, answers.inspection)).result,
    async explain({ entrypoint, ...request }) {
      return (await ask('explain', { ...request, entrypoints: [entrypoint] }, answers.explanation)).result;
    },
    warmUp: () => runner.warmUp(),
    close: () => runner.close(),
    pid: () => runner.pid(),
  };
}

function checked<T>(shape: z.ZodType<T>, value: unknown): T {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  throw failure(
    'toolchain_failed',
    `what is in opa/build is of another version of opallama, "npm run build:opa" makes it anew: ${result.error.message}`,
  );
}

const summaries: Readonly<Record<string, string>> = {
  compile: 'The policy does not compile.',
  test: 'The policy does not compile, so its tests did not run.',
  inspect: 'The policy does not compile.',
  findings: 'The policy does not compile.',
  explain: 'The policy does not compile, so there is nothing to explain.',
};
