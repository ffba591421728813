/** What the guard takes for bodies of three sizes, each in a loop of its own. */
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers } from '../../src/input/guard/known-members.ts';
import type { Figure } from '../figures.ts';
import { medianOf } from './statistics.ts';

const line = 'A line of a longer conversation, of a length as most of them have.\n';

interface Size {
  readonly name: string;
  readonly message: Readonly<Record<string, unknown>>;
  readonly messages: number;
  readonly limitUs: number;
}

const sizes: readonly Size[] = [
  { name: '1 KB', message: { role: 'user', content: line.repeat(3) }, messages: 4, limitUs: 10 },
  { name: '100 KB of lines', message: { role: 'user', content: line.repeat(72) }, messages: 20, limitUs: 60 },
  {
    name: '20 MiB of base64',
    message: { role: 'user', content: line, images: [Buffer.alloc(15 * 1024 * 1024, line).toString('base64')] },
    messages: 1,
    limitUs: 3000,
  },
];

/** @param durationMs of the whole measurement */
export function measureGuard(durationMs: number): Figure[] {
  return sizes.map(({ name, message, messages, limitUs }) => {
    const bytes = Buffer.from(JSON.stringify({ model: 'llama3.2', messages: Array(messages).fill(message) }));
    const times: number[] = [];
    for (const untilMs = performance.now() + durationMs / sizes.length; performance.now() < untilMs; ) {
      const startedMs = performance.now();
      guardJson(bytes, knownMembers['ollama.chat']);
      times.push((performance.now() - startedMs) * 1000);
    }
    // The first half is for the compiler to warm up.
    const median = medianOf(times.slice(times.length / 2));
    return { name: `guard, ${name}, median`, unit: 'µs', sidecar: median, aim: { of: 'value', limit: limitUs } };
  });
}
