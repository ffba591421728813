/** The default policy in Cedar against the one in Rego: the same decision with the same codes, whoever asks for whatever. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createCedarEngine } from '../../src/decision/engines/cedar.ts';
import { createCedar } from '../../src/decision/engines/cedar-module.ts';
import { contextMembers } from '../../src/decision/engines/cedar-values.ts';
import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import { narrow } from '../../src/decision/narrow.ts';
import { resolveModelName, shortName } from '../../src/input/model-name.ts';
import { routes } from '../../src/input/routes.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { readPolicyFiles } from '../../src/policy/source.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import type { LoadedPolicy, PolicyInput } from '../../src/types.ts';
import { policyInput } from '../decision/input.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar } from '../support/in-process.ts';

const root = fileURLToPath(new URL('../../policies/', import.meta.url));
const entrypoint = 'ollama/authz';
const toolchain = createToolchain({ path: process.env['PATH'] });
after(() => toolchain.close());

async function loadCedar(): Promise<LoadedPolicy> {
  const { policy } = await preparePolicy({ path: `${root}cedar`, entrypoint, toolchain, needs: 'files' });
  return createCedarEngine().load(policy);
}

async function loadRego(): Promise<LoadedPolicy> {
  return createWasmEngine().load((await preparePolicy({ path: root, entrypoint, toolchain })).policy);
}

async function decide(policy: LoadedPolicy, input: PolicyInput): Promise<string> {
  const results = await policy.evaluate(entrypoint, input);
  const { allowed, reasons } = narrow(results, { shape: 'allow', beyondDenyList: undefined });
  return allowed ? 'allow' : [...new Set(reasons.map(({ code }) => code))].toSorted().join();
}

const roles = [
  [],
  ['x'],
  ['guest'],
  ['analyst'],
  ['developer'],
  ['admin'],
  ['guest', 'developer'],
  ['x', 'admin'],
  ['analyst', 'x'],
];
const operations = [...new Set(routes.map(({ operation }) => operation)), 'models.invented'];
const names = [
  ['practice'],
  ['practice:8b'],
  ['llama3.2'],
  ['LLAMA3.2:1b'],
  ['registry.ollama.ai/library/qwen3:latest'],
  ['nomic-embed-text'],
  ['nomic-embed-text:v1.5'],
  ['mistral'],
  ['llama3x/mistral'],
  ['someone/llama3.2'],
  ['hf.co/someone/llama3:q4'],
  ['gpt-oss:120b-cloud'],
  ['llama3.2', 'mistral'],
  ['llama3.2', 'llama3.2:1b'],
  ['llama3.2', 'gpt-oss:120b-cloud'],
  [],
];
/** Operations that name no model, ever. */
const modelless = new Set([
  'root',
  'version',
  'status',
  'models.list',
  'models.ps',
  'blobs.check',
  'blobs.create',
  'aliases.list',
  'account.show',
  'account.signout',
]);

function inputOf(
  held: readonly string[],
  operation: string,
  models: readonly string[],
  tools: readonly string[] | undefined,
): PolicyInput {
  const refs = models.map((name) => ({ ...resolveModelName(name), part: 'model' }));
  const [first] = refs;
  const {
    model: _model,
    server_tools: _tools,
    ...rest
  } = policyInput({
    principal: { id: 'someone', kind: 'jwt', roles: held, permissions: [], claims: {} },
    ...(first !== undefined && { model_refs: refs }),
    ...(tools !== undefined && { server_tools: tools }),
  });
  const whole = {
    ...rest,
    ...(first !== undefined && { model: shortName(first) }),
    ...(tools !== undefined && { server_tools: tools }),
  };
  return Object.assign(whole, { operation });
}

test('Cedar decides as Rego does, with the same codes', { skip: noModule }, async () => {
  const [rego, cedar] = await Promise.all([loadRego(), loadCedar()]);
  let compared = 0;
  let allowed = 0;
  for (const held of roles) {
    for (const operation of operations) {
      for (const models of names) {
        // Requests that the sidecar can't build.
        if (modelless.has(operation) && models.length > 0) continue;
        // Only a chat brings tools.
        for (const tools of operation === 'chat'
          ? [[], ['web_search'], ['web_search', 'other'], undefined]
          : [undefined]) {
          const input = inputOf(held, operation, models, tools);
          const [expected, found] = [await decide(rego, input), await decide(cedar, input)];
          assert.equal(found, expected, JSON.stringify({ held, operation, models, tools }));
          compared += 1;
          if (found === 'allow') allowed += 1;
        }
      }
    }
  }
  assert.ok(compared > 1500 && allowed > 300, `${compared} compared, ${allowed} allowed`);
  assert.deepEqual([...cedar.codes].toSorted(), [...rego.codes].toSorted());
  // Content, and the role that a caller of several roles acts in, are not read.
  assert.deepEqual([...cedar.reads.members].toSorted(), ['model', ...rego.reads.members].toSorted());
  await Promise.all([rego.close(), cedar.close()]);
});

test('the shipped Cedar policy is formatted', async () => {
  const { files } = await readPolicyFiles(`${root}cedar`);
  const policyText = Buffer.from(files.get('policy.cedar') ?? []).toString('utf8');
  const answer = createCedar().formatPolicies({ policyText, lineWidth: 120, indentWidth: 2 });
  assert.equal(answer.type === 'success' && answer.formatted_policy, policyText);
});

test('the shipped schema has every member of the context whose form is known', async () => {
  const { files } = await readPolicyFiles(`${root}cedar`);
  const text = Buffer.from(files.get('schema.cedarschema') ?? []).toString('utf8');
  const answer = createCedar().schemaToJson(text);
  const request = answer.type === 'success' ? answer.json['Opallama']?.commonTypes?.['Request'] : undefined;
  const shape: unknown = request && 'attributes' in request ? request.attributes : undefined;
  const attributes = typeof shape === 'object' && shape !== null ? Object.keys(shape) : [];
  // Callers write these as they like, so a schema that closes its records has no type for them.
  const free = ['keep_alive', 'format', 'metadata', 'messages'];
  assert.deepEqual([...attributes, ...free].toSorted(), contextMembers.toSorted());
});

test('the sidecar answers and records by the Cedar policy as by any other', async (t) => {
  const upstream = await startAnsweringUpstream(t);
  const sidecar = await startTestSidecar({
    upstream,
    policyConfig: { engine: 'cedar', path: `${root}cedar` },
  });
  t.after(() => sidecar.close());
  const chat = (held: readonly string[], model: string) =>
    fetch(`${sidecar.url}/api/chat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sidecar.token({ roles: held })}` },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], stream: false }),
    });
  assert.equal((await chat(['developer'], 'mistral')).status, 200);
  // Several roles and none that is said to be the one: nothing here asks for it.
  assert.equal((await chat(['analyst', 'guest'], 'llama3.2')).status, 200);
  const refused = await chat(['analyst'], 'mistral');
  assert.equal(refused.status, 403);
  assert.equal(refused.headers.get('x-opallama-reason'), 'model_not_allowed');
  const [event] = (await sidecar.waitForEvents(3)).slice(-1);
  assert.deepEqual([event?.engine, event?.reasons, event?.policy_result], ['cedar', ['model_not_allowed'], 'deny']);
});
