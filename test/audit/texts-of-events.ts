/**
 * Run by one-piece.test.ts with `--allow-natives-syntax`: a few requests through the whole sidecar. V8 says on standard
 * output of which type each text of their events is, in the order in which standard error names them.
 */
import { readDocument } from '../../src/config/document.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar } from '../support/in-process.ts';

const debugPrint = new Function('value', '%DebugPrint(value)');
const names: string[] = [];

function look(value: unknown, name: string): void {
  if (typeof value === 'string') {
    names.push(name);
    debugPrint(value);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, member] of Object.entries(value)) look(member, `${name}.${key}`);
  }
}

const closing: Array<() => unknown> = [];
const upstream = await startAnsweringUpstream({
  after: (close) => close && closing.push(() => Reflect.apply(close, undefined, [])),
});
const sidecar = await startTestSidecar({ upstream, observe: (event) => look(event, event.path ?? 'none') });
const token = sidecar.token({
  subject: 'alice@departments.example',
  roles: ['developer', 'a-role-of-many-letters'],
  agentRole: 'developer',
  tenant: 'a-tenant-of-many-letters',
  permissions: ['models:read:everything', 'models:write:everything'],
});
const requests = {
  '/api/chat': { model: 'Qwen2.5-Coder-Instruct:7b-instruct-q4_K_M', messages: [{ role: 'user', content: 'x' }] },
  '/v1/chat/completions': { model: 'llama3.2', messages: [], user: 'someone-with-a-long-name' },
  '/ollama/api/show': { model: 'registry.example.org/some-namespace/some-model:some-long-tag' },
};
for (const [path, body] of Object.entries(requests)) {
  const response = await fetch(sidecar.url + path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'x-opallama-metadata-team': 'a-team-of-many-letters',
    },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
}
await sidecar.waitForEvents(Object.keys(requests).length);
look(readDocument('tenant: a-tenant-of-many-letters').tree, 'configuration');
await sidecar.close();
for (const close of closing) close();
process.stderr.write(JSON.stringify(names));
