/**
 * What may be told of an error that code of the user's threw, or a policy that failed. Both are given prompts and may well
 * quote them, as OPA does where a rule has two values: so its kind, its code and where it was thrown, and not its text.
 */
export function withoutText(error: unknown): object {
  const note = 'its text is left out: the code that threw it is given content';
  if (!(error instanceof Error)) return { type: typeof error, note };
  const code: unknown = Reflect.get(error, 'code');
  const frames = (error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line));
  return {
    // A name can be set to anything.
    type: /^\w{1,64}$/.test(error.name) ? error.name : 'Error',
    ...(typeof code === 'string' && /^\w{1,64}$/.test(code) && { code }),
    ...placeOf(error.message),
    stack: frames.join('\n'),
    note,
  };
}

/** `authz.rego:16: eval_conflict_error`, and nothing of what follows. */
const ruleFault = /^([\w./-]{1,200}:\d{1,7}(?::\d{1,5})?): (\w{1,64}_error)(?=:|$)/;
/** What OPA's compiler writes into a compiled policy, whole. */
const compiledFault =
  /^([\w./-]{1,200}:\d{1,7}:\d{1,5}): (var assignment conflict|object insert conflict|complete rule conflict|function conflict)$/;

function placeOf(message: string): object {
  const [, place, fault] = ruleFault.exec(message) ?? compiledFault.exec(message) ?? [];
  return place === undefined ? {} : { place, fault };
}

/** Failures of what evaluates a policy, not of the policy: their text is ours. */
const ours: ReadonlySet<unknown> = new Set([
  'policy_deadline',
  'policy_unavailable',
  'policy_memory',
  'policy_crashed',
  'engine_unavailable',
]);

/** @returns the error where its text is ours, without that of what caused it; else what may be told of it */
export function withoutPolicyText(error: unknown): unknown {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  if (!(error instanceof Error) || error.name !== 'EvaluationError' || !ours.has(code)) return withoutText(error);
  if (error.cause === undefined) return error;
  // As a parser's, which quotes what a remote engine answered.
  const { name: type, message, stack, cause } = error;
  return { type, code, message, stack, cause: withoutText(cause) };
}
