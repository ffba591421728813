import { join, relative } from 'node:path';

import type { Command } from 'commander';
import type { PolicyConfig } from '../configured/policy.ts';
import { CallError, PolicyError } from '../errors.ts';
import { contentMembers } from '../input/ask/asked.ts';
import { readPolicySource } from '../policy/source.ts';
import type { Explanation } from '../policy/toolchain/protocol.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { PolicyInput } from '../types.ts';
import type { CliDeps } from './config-options.ts';
import { printExplanation } from './explain-text.ts';
import { judge } from './judge.ts';
import { formatOption, paint, toJson } from './output.ts';
import { addQuestionOptions, type Question, type QuestionOptions, questionExamples, readQuestion } from './question.ts';
import { type Outcome, outcomeOf, printFacts, printHeadline, showInput, toDocument, veil } from './verdict.ts';

interface ExplainOptions extends QuestionOptions {
  readonly all?: true;
  readonly trace?: true;
  readonly showContent?: true;
  readonly format: 'pretty' | 'json';
}

const notes = `${questionExamples('explain')}
  opallama explain --input audit-line.json --trace

The decision is that of the configured engine. Which rules led to it is said by OPA's interpreter, over the same input and
with the same clock. Content (messages, prompt ...) and what a policy makes of it is hidden, but for --show-content.

Exit codes: 0; 1 an evaluation that fails, a policy that does not load; 2 a wrong call or configuration.`;

/** `opallama explain`: which rules held, and where the others ended. */
export function registerExplain(program: Command, deps: CliDeps): void {
  addQuestionOptions(program.command('explain'))
    .description('say which rules led to a decision, with file, line and the values there')
    .option('--all', 'every rule that was asked, and every way down to its end')
    .option('--trace', "OPA's own trace as well")
    .option('--show-content', 'also values that may hold messages, prompt and the like')
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', notes)
    .action(async (words: readonly string[], options: ExplainOptions) => {
      const question = readQuestion(words, options, deps.environment);
      const searchPath = deps.environment.env['PATH'];
      const verdict = veil(await judge(question, searchPath), options.showContent === true);
      const { input, refusal } = verdict;
      const told =
        input === undefined || refusal !== undefined
          ? []
          : await explain(question, input, options, { cwd: deps.environment.cwd, searchPath });
      if (options.format === 'json') {
        deps.write(
          toJson({
            ...toDocument(verdict, question.config),
            input: input && showInput(input, options.showContent === true),
            policies: told.map(toMembers),
          }),
        );
      } else {
        deps.write(`${printHeadline(verdict)}${printFacts(verdict, question.config)}`);
        for (const each of told) {
          if (told.length > 1) deps.write(`\n${paint('bold', `policy ${each.config.name}`)}\n`);
          deps.write(`\n${print(each, outcomeOf(verdict), options.all === true)}`);
        }
      }
      if (outcomeOf(verdict) === 'error') process.exitCode = 1;
    });
}

interface Explained {
  readonly config: PolicyConfig;
  /** Undefined where there is no Rego to be explained. */
  readonly told: Explanation | undefined;
}

async function explain(
  { config, nowNs }: Question,
  input: PolicyInput,
  options: ExplainOptions,
  { cwd, searchPath }: { readonly cwd: string; readonly searchPath: string | undefined },
): Promise<readonly Explained[]> {
  const toolchain = createToolchain({ path: searchPath });
  try {
    const explained: Explained[] = [];
    for (const policy of config.policies) {
      const source = await readSource(policy);
      if (source === undefined) {
        explained.push({ config: policy, told: undefined });
        continue;
      }
      const { modules, data, library } = source;
      // Modules of opallama's own library lie elsewhere.
      const directory = relative(cwd, policy.path);
      const display = (file: string): string => (library.includes(file) ? file : join(directory, file));
      const told = await toolchain.explain({
        modules: Object.fromEntries(Object.entries(modules).map(([file, text]) => [display(file), text])),
        data,
        entrypoint: policy.entrypoint,
        input,
        nowNs: nowNs ?? input.now_ns,
        content: options.showContent === true ? [] : contentMembers.filter((member) => input[member] !== undefined),
        trace: options.trace === true,
      });
      explained.push({ config: policy, told });
    }
    if (explained.every(({ told }) => told === undefined)) {
      const paths = config.policies.map(({ path, engine }) => `${path} (engine ${engine})`).join(', ');
      throw new CallError(
        `Only Rego can be explained, and there is none at ${paths}. Give the policy's sources by --policy.`,
      );
    }
    return explained;
  } finally {
    await toolchain.close();
  }
}

/** @returns undefined where the policy is no Rego, or lies elsewhere */
async function readSource({ path, engine }: PolicyConfig) {
  try {
    const source = await readPolicySource(path);
    return Object.keys(source.modules).length === 0 ? undefined : source;
  } catch (error) {
    if (error instanceof PolicyError && engine !== 'wasm' && engine !== 'topdown') return undefined;
    throw error;
  }
}

function print({ config, told }: Explained, outcome: Outcome, all: boolean): string {
  if (told === undefined) return `There is no Rego to be explained (engine ${config.engine}).\n`;
  return [
    printExplanation(told, { entrypoint: config.entrypoint, outcome, all }),
    told.error === undefined ? '' : `\nThe interpreter failed: ${told.error}\n`,
    told.trace === undefined ? '' : `\n${told.trace}`,
  ].join('');
}

/** Wire names; what the interpreter gave stands apart from what the engine decided. */
function toMembers({ config: { name, engine, entrypoint }, told }: Explained): Readonly<Record<string, unknown>> {
  if (told === undefined) return { name, engine, entrypoint };
  const { defined, error, cut, rules, evaluations, trace } = told;
  return { name, engine, entrypoint, interpreter: { defined, error, cut }, rules, evaluations, trace };
}
