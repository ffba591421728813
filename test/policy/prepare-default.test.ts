/** The default policy reads no content, so none is built: what a caller writes does not even reach the input document. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readAsked } from '../../src/input/ask/read.ts';
import { buildInput } from '../../src/input/build-input.ts';
import { matchRoute } from '../../src/input/routes.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { noModule } from './toolchain-fixture.ts';

const toolchain = createToolchain({ path: undefined });
after(() => toolchain.close());
const path = fileURLToPath(new URL('../../policies', import.meta.url));
const content = ['messages', 'prompt', 'system', 'suffix', 'template'] as const;
const canary = 'what nobody but the model may read';

test('messages are not built under the default policy, nor is any other text of the caller', {
  skip: noModule,
}, async () => {
  const { policy } = await preparePolicy({ path, entrypoint: 'ollama/authz', toolchain });
  assert.equal(policy.reads.all, false);
  for (const member of content) assert.equal(policy.reads.members.has(member), false, member);

  const bodies = {
    '/api/chat': {
      model: 'tiny',
      messages: [
        { role: 'system', content: canary },
        { role: 'user', content: canary },
      ],
    },
    '/v1/chat/completions': { model: 'tiny', messages: [{ role: 'user', content: [{ type: 'text', text: canary }] }] },
    '/api/generate': { model: 'tiny', prompt: canary, system: canary, suffix: canary, template: canary },
  };
  for (const [target, body] of Object.entries(bodies)) {
    const route = matchRoute('POST', target);
    assert.ok(route.request !== undefined);
    const asked = readAsked(route.request, body);
    assert.equal(asked.kind, 'prompt');
    const text = content.map((member) => asked.content[member]);
    assert.ok(JSON.stringify(text).includes(canary), 'the text was there to be built');
    const input = buildInput(
      {
        requestId: 'r',
        decisionId: 'd',
        route,
        method: 'POST',
        principal: {
          id: 'alice',
          kind: 'jwt',
          roles: ['developer'],
          agentRole: undefined,
          permissions: [],
          tenant: undefined,
          claims: {},
        },
        asked,
        clientIp: '127.0.0.1',
        rawHeaders: [],
        nowNs: 1,
        rolePrecedence: [],
      },
      policy.reads,
    );
    for (const member of content) assert.equal(member in input, false, `${target}: ${member}`);
    assert.equal(JSON.stringify(input).includes(canary), false, target);
  }
});
