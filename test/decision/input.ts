import type { PolicyInput } from '../../src/types.ts';

/** An input document such as the input stage makes of a chat. */
export function policyInput(over: Partial<PolicyInput> = {}): PolicyInput {
  return {
    version: 1,
    phase: 'request',
    request_id: 'r-1',
    decision_id: 'd-1',
    api: 'ollama',
    operation: 'chat',
    method: 'POST',
    path: '/api/chat',
    principal: { id: 'alice', kind: 'jwt', roles: ['developer'], permissions: [], claims: {} },
    model: 'llama3.2',
    server_tools: [],
    client: { ip: '127.0.0.1' },
    now_ns: 1_750_000_000_000_000_000,
    mcp_server: 'ollama-proxy',
    tool_name: 'ollama-api',
    action: 'POST',
    resource: 'ollama/llama3.2',
    llm_action: 'llm:chat.completions',
    ...over,
  };
}

/** `source` is all that a deny-list looks at. */
export function modelRef(source: 'local' | 'cloud') {
  return {
    part: 'model',
    raw: 'm',
    full: 'registry.ollama.ai/library/m:latest',
    host: 'registry.ollama.ai',
    namespace: 'library',
    name: 'm',
    tag: 'latest',
    source,
  };
}
