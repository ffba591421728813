/**
 * Writes examples/inputs/requests.jsonl: inputs that `opallama diff` compares policies over where it is given no others. Each
 * is a request that went through the pipeline, with everything in it that a policy can read.
 */
import { writeFileSync } from 'node:fs';

import { readOfflineConfig } from '../src/cli/question.ts';
import { denied } from '../src/decision/narrow.ts';
import { rehearse } from '../src/rehearsal.ts';
import type { Decision, PolicyInput, Principal } from '../src/types.ts';

type Ask = readonly [method: string, target: string, body?: object];

const hello = [{ role: 'user', content: 'Why is the sky blue?' }];
const weather = { type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: {} } } };
const shell = { type: 'function', function: { name: 'run_shell', parameters: { type: 'object', properties: {} } } };

const asks: readonly Ask[] = [
  ['GET', '/api/version'],
  ['GET', '/api/tags'],
  ['GET', '/v1/models'],
  ['POST', '/api/show', { model: 'llama3.2' }],
  ['POST', '/api/chat', { model: 'llama3.2', messages: hello }],
  ['POST', '/api/chat', { model: 'llama3.2:1b', messages: [{ role: 'system', content: 'Be brief.' }, ...hello] }],
  ['POST', '/api/chat', { model: 'mistral', messages: hello, options: { num_predict: 64 } }],
  ['POST', '/api/chat', { model: 'qwen3', messages: hello, tools: [weather] }],
  ['POST', '/api/chat', { model: 'qwen3', messages: hello, tools: [weather, shell] }],
  ['POST', '/api/chat', { model: 'gpt-oss:120b-cloud', messages: hello }],
  ['POST', '/api/chat', { model: 'llama3.2', messages: [{ role: 'user', content: 'word '.repeat(500) }] }],
  ['POST', '/v1/chat/completions', { model: 'llama3.2', messages: hello, metadata: { data_class: 'public' } }],
  ['POST', '/v1/chat/completions', { model: 'llama3.2', messages: hello, metadata: { data_class: 'secret' } }],
  ['POST', '/v1/messages', { model: 'llama3.2', max_tokens: 64, messages: hello }],
  ['POST', '/api/generate', { model: 'llama3.2', prompt: 'Once upon a time', system: 'You are a poet.' }],
  ['POST', '/api/embed', { model: 'nomic-embed-text', input: ['one', 'two'] }],
  ['POST', '/api/pull', { model: 'llama3.2' }],
  ['DELETE', '/api/delete', { model: 'llama3.2' }],
];

const roles = ['guest', 'analyst', 'developer', 'admin'] as const;
/** A Monday at noon and a Sunday at night, UTC. */
const times = ['2026-03-02T12:00:00Z', '2026-03-01T23:30:00Z'] as const;

/** Decides nothing: every request is to get as far as its input. */
const undecided: Decision = {
  ...denied('policy_undefined'),
  decisionId: '',
  result: 'error',
  engine: '',
  revision: '',
  durationNs: 0,
};

/** @returns one line for each input */
export async function makeExampleInputs(): Promise<string> {
  const config = readOfflineConfig({}, { env: {}, cwd: '/', readFile: noFile });
  const lines: string[] = [];
  for (const role of roles) {
    for (const [index, ask] of asks.entries()) {
      const now = times[index % times.length] ?? times[0];
      const id = `example-${String(lines.length + 1).padStart(3, '0')}`;
      lines.push(
        JSON.stringify({
          ...(await makeInput(role, ask)),
          request_id: id,
          decision_id: id,
          now_ns: Date.parse(now) * 1e6,
        }),
      );
    }
  }
  return `${lines.join('\n')}\n`;

  async function makeInput(role: string, [method, target, body]: Ask): Promise<PolicyInput> {
    const principal: Principal = {
      id: `${role}@example.com`,
      kind: 'jwt',
      roles: [role],
      agentRole: undefined,
      permissions: [],
      tenant: 'example',
      claims: { department: role === 'guest' ? 'visitors' : 'research' },
    };
    const bytes = Buffer.from(body === undefined ? '' : JSON.stringify(body));
    const { input, refusal } = await rehearse(
      {
        config,
        identify: () => principal,
        policy: {
          reads: { all: true, members: new Set() },
          codes: new Set(),
          readsContent: true,
          decide: async () => undecided,
        },
        clientIp: '192.0.2.10',
      },
      {
        method,
        target,
        headers: [
          ['Host', 'localhost'],
          ['User-Agent', 'example/1.0'],
          ...(body === undefined ? [] : [['Content-Length', String(bytes.length)] as const]),
        ],
        body: bytes,
      },
    );
    if (input === undefined) throw new Error(`${method} ${target}: ${refusal?.message}`);
    return input;
  }
}

function noFile(path: string): never {
  throw Object.assign(new Error(path), { code: 'ENOENT' });
}

if (import.meta.main) {
  writeFileSync(new URL('../examples/inputs/requests.jsonl', import.meta.url), await makeExampleInputs());
}
