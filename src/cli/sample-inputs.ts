/** What is asked of a policy where nobody says what to ask: requests as an ordinary day has them, allowed and denied. */
import { resolveModelName } from '../input/model-name.ts';
import type { Operation, PolicyInput } from '../types.ts';

interface Sample {
  readonly operation: Operation;
  readonly path: string;
  readonly method?: string;
  readonly role: string;
  readonly model?: string;
}

const samples: readonly Sample[] = [
  { operation: 'chat', path: '/api/chat', role: 'developer', model: 'llama3.2' },
  { operation: 'chat', path: '/v1/chat/completions', role: 'analyst', model: 'llama3.2:1b' },
  { operation: 'embed', path: '/api/embed', role: 'analyst', model: 'nomic-embed-text' },
  { operation: 'models.list', path: '/api/tags', method: 'GET', role: 'guest' },
  { operation: 'models.pull', path: '/api/pull', role: 'admin', model: 'qwen3:8b' },
  { operation: 'chat', path: '/api/chat', role: 'developer', model: 'gpt-oss:120b-cloud' },
];

const llmActions: Partial<Record<Operation, string>> = { chat: 'llm:chat.completions', embed: 'llm:embeddings' };

export const sampleInputs: readonly PolicyInput[] = samples.map(toInput);

function toInput({ operation, path, method = 'POST', role, model }: Sample, index: number): PolicyInput {
  const ref = model === undefined ? undefined : resolveModelName(model);
  const isPrompt = operation === 'chat';
  const text = 'Why is the sky blue, and why is it red in the evening? '.repeat(15);
  return {
    version: 1,
    phase: 'request',
    request_id: `00000000-0000-4000-8000-00000000000${index}`,
    decision_id: `00000000-0000-4000-8000-00000000001${index}`,
    api: path.startsWith('/v1') ? 'openai' : 'ollama',
    operation,
    method,
    path,
    principal: {
      id: 'alice',
      kind: 'jwt',
      roles: [role],
      permissions: ['chat', 'models'],
      tenant: 'acme',
      claims: { sub: 'alice', roles: [role], tenant: 'acme', scope: 'chat models', iat: 1, exp: 2 },
    },
    agent_role: role,
    ...(ref && model !== undefined && { model, model_ref: ref }),
    model_refs: ref === undefined ? [] : [{ ...ref, part: 'model' }],
    ...(isPrompt && {
      stream: true,
      has_tools: false,
      server_tools: [],
      has_system_prompt: true,
      message_count: 2,
      prompt_bytes: text.length + 15,
      estimated_tokens: Math.ceil((text.length + 15) / 4),
      options: { num_predict: 100, temperature: 0.7 },
      max_tokens: 100,
      messages: [
        { role: 'system', content: 'Answer briefly.' },
        { role: 'user', content: text },
      ],
    }),
    ...(operation === 'embed' && { prompt: text, server_tools: [] }),
    client: { ip: '127.0.0.1', user_agent: 'opallama-bench' },
    now_ns: 1_767_225_600_000_000_000,
    mcp_server: 'ollama-proxy',
    tool_name: 'ollama-api',
    action: method,
    resource: model === undefined ? 'ollama' : `ollama/${model}`,
    llm_action: llmActions[operation] ?? `llm:${operation}`,
  };
}
