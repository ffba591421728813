/** The steps of the Dockerfile. What is not understood is an error: nothing is passed over that an image would have. */

export interface Stage {
  readonly name: string;
  readonly base: string;
  readonly steps: readonly Step[];
}

export type Step =
  | {
      readonly kind: 'copy';
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly to: string;
    }
  | { readonly kind: 'run'; readonly command: string }
  | { readonly kind: 'env'; readonly values: Readonly<Record<string, string>> }
  | { readonly kind: 'workdir'; readonly path: string }
  | { readonly kind: 'user'; readonly uid: number; readonly gid: number }
  | { readonly kind: 'label'; readonly values: Readonly<Record<string, string>> }
  | { readonly kind: 'expose'; readonly ports: readonly number[] }
  | { readonly kind: 'healthcheck'; readonly command: readonly string[] }
  | { readonly kind: 'entrypoint' | 'cmd'; readonly command: readonly string[] };

/** @throws Error that names the line */
export function parseDockerfile(text: string): readonly Stage[] {
  const stages: Array<{ name: string; base: string; steps: Step[] }> = [];
  for (const line of joinLines(text)) {
    const [, instruction = '', rest = ''] = /^([A-Z]+)\s+(.*)$/s.exec(line) ?? [];
    if (instruction === 'FROM') {
      const [, base = '', name = ''] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
      if (base === '') throw new Error(line);
      stages.push({ name: name === '' ? 'final' : name, base, steps: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`before FROM: ${line}`);
    stage.steps.push(parseStep(instruction, rest, line));
  }
  return stages;
}

function parseStep(instruction: string, rest: string, line: string): Step {
  switch (instruction) {
    case 'COPY': {
      const words = rest.split(/\s+/);
      const flag = words[0]?.startsWith('--') ? words.shift() : undefined;
      const from = flag === undefined ? undefined : /^--from=(\S+)$/.exec(flag)?.[1];
      if (flag !== undefined && from === undefined) throw new Error(line);
      const to = words.pop() ?? '';
      return { kind: 'copy', from, sources: words, to };
    }
    case 'RUN':
      if (rest.startsWith('[') || rest.startsWith('--')) throw new Error(line);
      return { kind: 'run', command: rest };
    case 'ENV':
      return { kind: 'env', values: pairs(rest) };
    case 'LABEL':
      return { kind: 'label', values: pairs(rest) };
    case 'WORKDIR':
      return { kind: 'workdir', path: rest };
    case 'USER': {
      const [, uid, gid] = /^(\d+):(\d+)$/.exec(rest) ?? [];
      if (uid === undefined)
        throw new Error(`a user by number, as Kubernetes needs it to tell that it is not root: ${line}`);
      return { kind: 'user', uid: Number(uid), gid: Number(gid) };
    }
    case 'EXPOSE':
      return { kind: 'expose', ports: rest.split(/\s+/).map(Number) };
    case 'HEALTHCHECK':
      return { kind: 'healthcheck', command: words(/\bCMD\s+(\[.*\])$/s.exec(rest)?.[1] ?? '', line) };
    case 'ENTRYPOINT':
      return { kind: 'entrypoint', command: words(rest, line) };
    case 'CMD':
      return { kind: 'cmd', command: words(rest, line) };
    default:
      throw new Error(`not understood: ${line}`);
  }
}

/** The exec form, which needs no shell. */
function words(text: string, line: string): readonly string[] {
  const value: unknown = text.startsWith('[') ? JSON.parse(text) : undefined;
  if (!Array.isArray(value) || !value.every((word) => typeof word === 'string'))
    throw new Error(`a list of words: ${line}`);
  return value;
}

function pairs(text: string): Readonly<Record<string, string>> {
  const found = [...text.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S+))/g)];
  return Object.fromEntries(found.map(([, name = '', quoted, plain]) => [name, quoted ?? plain ?? '']));
}

function joinLines(text: string): readonly string[] {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line));
  return lines
    .join('\n')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
