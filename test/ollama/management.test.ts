/** What changes models, by the JavaScript client, on a store of models of its own. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import { prepareOllama } from '../support/ollama/prepare.ts';
import { startOllama } from '../support/ollama/server.ts';
import { startSidecar } from '../support/ollama/sidecar.ts';

test('creating, copying, showing and deleting a model: the same directly and through the sidecar', async (t) => {
  const parts = await prepareOllama();
  const store = await mkdtemp(join(tmpdir(), 'opallama-models-'));
  t.after(() => rm(store, { recursive: true, maxRetries: 10, force: true }));
  await cp(parts.models, store, { recursive: true });
  const server = await startOllama({ ...parts, models: store });
  t.after(() => server.stop());
  const sidecar = await startSidecar({ upstream: server.url });
  t.after(() => sidecar.stop());

  const manage = async (client: Ollama) => {
    const gave: unknown[] = [];
    for await (const step of await client.create({ model: 'made', from: 'tiny', system: 'Be brief.', stream: true }))
      gave.push(step);
    gave.push(await client.copy({ source: 'made', destination: 'copied' }));
    gave.push((await client.show({ model: 'copied' })).system);
    gave.push((await client.list()).models.map(({ name }) => name).toSorted());
    gave.push(await client.delete({ model: 'copied' }), await client.delete({ model: 'made' }));
    gave.push((await client.list()).models.map(({ name }) => name).toSorted());
    await assert.rejects(client.delete({ model: 'made' }), (error: Error) => {
      gave.push([error.name, error.message]);
      return true;
    });
    return gave;
  };
  const direct = await manage(new Ollama({ host: server.url }));
  const headers = { Authorization: `Bearer ${sidecar.token}` };
  assert.deepEqual(await manage(new Ollama({ host: sidecar.url, headers })), direct);
  assert.ok(JSON.stringify(direct).includes('copied:latest'));
  for (const operation of ['models.create', 'models.copy', 'models.show', 'models.delete'])
    await sidecar.auditWhere((event) => event.operation === operation && event.outcome === 'complete');
});
