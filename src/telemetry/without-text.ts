/**
 * What may be told of an error that code of the user's threw. It is given prompts, and may well quote them: so its kind, its
 * code and where it was thrown, and not its text.
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
    stack: frames.join('\n'),
    note,
  };
}
