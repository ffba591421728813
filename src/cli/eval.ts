import { type Command, InvalidArgumentError } from 'commander';

import type { CliDeps } from './config-options.ts';
import { judge, type Verdict } from './judge.ts';
import { formatOption, toJson } from './output.ts';
import { addQuestionOptions, type QuestionOptions, questionExamples, readQuestion } from './question.ts';
import { codesOf, outcomeOf, printFacts, printHeadline, showInput, toDocument, veil } from './verdict.ts';

interface EvalOptions extends QuestionOptions {
  readonly expect?: Expectation;
  readonly showInput?: true;
  readonly showContent?: true;
  readonly format: 'pretty' | 'json';
}

interface Expectation {
  readonly text: string;
  readonly outcome: string;
  readonly code: string | undefined;
}

const notes = `${questionExamples('eval')}
  opallama eval --expect deny:model_not_allowed --as guest /api/chat -d @body.json

The request passes the same parser, guard, identity and policy as it would in the sidecar; nothing is sent to Ollama. The
policy's own tests are not run. An input document is taken as it is: members that it lacks are absent, but for now_ns.

Exit codes: 0; 1 a decision that is not the expected one, an evaluation that fails, a policy that does not load; 2 a wrong
call or configuration.`;

/** `opallama eval`: what would be decided, without a server. */
export function registerEval(program: Command, deps: CliDeps): void {
  addQuestionOptions(program.command('eval'))
    .description('say what the policy decides on an input, or on a request as curl would send it')
    .option(
      '--expect <decision>',
      'allow, deny, refused or error, deny:<code> and refused:<code> too; anything else ends with code 1',
      readExpectation,
    )
    .option('--show-input', 'print the input document as the policy is given it')
    .option('--show-content', 'also messages, prompt and the like, and what a policy that reads them writes')
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', notes)
    .action(async (words: readonly string[], options: EvalOptions) => {
      const question = readQuestion(words, options, deps.environment);
      const judged = await judge(question, deps.environment.env['PATH']);
      const verdict = veil(judged, options.showContent === true);
      deps.write(print(verdict, question.config, options));
      const unmet = options.expect !== undefined && !isAsExpected(verdict, options.expect);
      if (unmet) process.stderr.write(`Expected ${options.expect?.text}, got ${describe(verdict)}.\n`);
      if (unmet || (options.expect === undefined && outcomeOf(verdict) === 'error')) process.exitCode = 1;
    });
}

function print(verdict: Verdict, config: Parameters<typeof toDocument>[1], options: EvalOptions): string {
  const { input } = verdict;
  const shown = options.showInput && input ? showInput(input, options.showContent === true) : undefined;
  if (options.format === 'json') {
    const expected = options.expect === undefined ? {} : { expected: isAsExpected(verdict, options.expect) };
    return toJson({ ...toDocument(verdict, config), ...expected, input: shown });
  }
  const text = shown === undefined ? '' : `\n${toJson(shown)}`;
  return `${printHeadline(verdict)}${printFacts(verdict, config)}${text}`;
}

function readExpectation(text: string): Expectation {
  const [, outcome, code] = /^(allow|deny|refused|error)(?::([\w.-]+))?$/.exec(text) ?? [];
  if (outcome === undefined || (outcome === 'allow' && code !== undefined))
    throw new InvalidArgumentError('Write allow, deny, refused or error, perhaps with a code: deny:model_not_allowed.');
  return { text, outcome, code };
}

function isAsExpected(verdict: Verdict, { outcome, code }: Expectation): boolean {
  return outcomeOf(verdict) === outcome && (code === undefined || codesOf(verdict).includes(code));
}

function describe(verdict: Verdict): string {
  const codes = codesOf(verdict);
  return codes.length === 0 ? outcomeOf(verdict) : `${outcomeOf(verdict)}:${codes.join(',')}`;
}
