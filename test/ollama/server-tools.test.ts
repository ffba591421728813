/** Anthropic's client asks for the web search that Ollama itself would run: only a role that names it may, whatever the tool is called. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { withoutWhatDiffers } from '../support/ollama/compare.ts';
import { type Pair, startPair } from '../support/ollama/pair.ts';
import { signToken } from '../support/ollama/sidecar.ts';

const policies = join(import.meta.dirname, '..', '..', 'policies');
const search = { type: 'web_search_20250305', name: 'web_search' } as const;
const own = { name: 'web_search', input_schema: { type: 'object' } } as const;

describe('web_search of /v1/messages under the shipped policy', () => {
  let pair: Pair;
  before(async () => {
    pair = await startPair({ config: { policy: { path: policies } } });
  });
  after(() => pair.stop());

  const ask = (role: string | undefined, tools: Anthropic.Messages.ToolUnion[]) => {
    const baseURL = role === undefined ? pair.ollama.url : pair.sidecar.url;
    const client = new Anthropic({ baseURL, apiKey: role ? signToken({ roles: [role] }) : 'unused', maxRetries: 0 });
    return client.messages.create({
      model: 'tiny',
      max_tokens: 64,
      messages: [{ role: 'user', content: 'hi' }],
      tools,
    });
  };

  it('is refused to a role that does not name it', async () => {
    await assert.rejects(ask('developer', [search]), (error: unknown) => {
      assert.ok(error instanceof Anthropic.PermissionDeniedError);
      assert.match(error.message, /server_tool_not_allowed/);
      return true;
    });
    await assert.rejects(ask('developer', [own, search]), Anthropic.PermissionDeniedError);
  });

  it('is passed on for a role that names it, and answered as to one who asks Ollama directly', async () => {
    const [direct, through] = [await ask(undefined, [search]), await ask('admin', [search])];
    assert.equal(withoutWhatDiffers(JSON.stringify(through)), withoutWhatDiffers(JSON.stringify(direct)));
    const event = await pair.sidecar.auditWhere((one) => one.outcome === 'complete');
    assert.deepEqual(event.input?.['server_tools'], ['web_search']);
  });

  it('is the caller’s own where it has no such type, and anybody’s who may chat', async () => {
    assert.equal((await ask('developer', [own])).type, 'message');
  });
});
