/**
 * The same look for engines whose failures are other people's text: a remote OPA, which quotes what it was asked, Cedar, whose
 * functions quote what they can't read, and a program of the operator's, which throws what it likes.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { canary, walkWithCanaries, word } from './canary-walk.ts';

/** What never reaches a policy is the same for all engines. */
const common = { paths: ['/api/chat', '/api/generate', '/v1/chat/completions'], malformed: false } as const;

type Answer = (response: ServerResponse, said: string) => void;

/** By model: how an OPA, or what stands in its place, fails, with what it was asked in its answer. */
const opaAnswers: Readonly<Record<string, Answer>> = {
  conflict: (response, said) =>
    response
      .writeHead(500)
      .end(JSON.stringify({ code: 'internal_error', message: said, errors: [{ code: said, message: said }] })),
  badinput: (response, said) =>
    response.writeHead(400).end(JSON.stringify({ code: 'invalid_parameter', message: said })),
  nojson: (response) => response.end(canary('nojson')),
  badtoken: (response) => response.end(`{"${word}":x}`),
  halfjson: (response, said) => response.end(`{"result":{"allow":true},"said":"${said}`),
  list: (response, said) => response.end(JSON.stringify([said])),
  schema: (response, said) => response.end(JSON.stringify({ result: true, metrics: said, decision_id: [said] })),
  string: (response, said) => response.end(JSON.stringify({ result: said })),
  member: (response, said) => response.end(JSON.stringify({ result: { allow: said, [said]: said } })),
  obligation: (response, said) =>
    response.end(JSON.stringify({ result: { allow: true, obligations: { [said]: said } } })),
  redirect: (response, said) => response.writeHead(302, { location: `/${encodeURIComponent(said)}` }).end(said),
  refused: (response, said) => response.writeHead(401, { 'x-said': encodeURIComponent(said) }).end(said),
  cut: (response, said) => {
    response.writeHead(200, { 'content-length': said.length + 100 }).write(said);
    setTimeout(() => response.destroy(), 10);
  },
  late: (response, said) => void setTimeout(() => response.end(JSON.stringify({ result: said })), 600).unref(),
};

/** Stands for OPA. */
async function startOpa(t: TestContext): Promise<number> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.url?.startsWith('/health') === true) return void response.end('{}');
    const { input } = JSON.parse(body);
    const said = JSON.stringify([input.messages ?? input.prompt ?? '', request.headers.authorization]);
    const answer = opaAnswers[input.model];
    if (answer !== undefined) return answer(response, said);
    const denied = { allow: false, deny: [{ code: said, message: said }], dynamic_metadata: { said } };
    response.end(JSON.stringify({ result: input.model === 'denied' ? denied : { allow: true } }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close().closeAllConnections());
  return (server.address() as AddressInfo).port;
}

test('engine opa: no canary comes out, whatever a remote OPA answers', async (t) => {
  const token = `${word}opatoken0123456789`;
  const log = await walkWithCanaries(t, {
    ...common,
    async furnish() {
      const opa = `url: "http://127.0.0.1:${await startOpa(t)}", token_env: T, timeout: 400ms, circuit_breaker: { failures: 1000 }`;
      return `{ engine: opa, entrypoint: ollama/authz, opa: { ${opa} } }`;
    },
    env: { T: token },
    failing: Object.keys(opaAnswers),
    secrets: [token],
  });
  assert.match(log, /the policy failed to evaluate/);
});

test('engine cedar: no canary comes out, whatever a policy fails on', async (t) => {
  const failing = ['isolated', 'decimal', 'compared'];
  const log = await walkWithCanaries(t, {
    ...common,
    furnish(place) {
      writeFileSync(
        join(place, 'policy.cedar'),
        `permit (principal, action, resource);
@reason("denied")
forbid (principal, action, resource) when { resource has short && resource.short == "denied" };
forbid (principal, action, resource)
when { resource has short && resource.short == "isolated" && context has prompt && ip(context.prompt).isLoopback() };
forbid (principal, action, resource)
when { resource has short && resource.short == "decimal" && context has prompt && decimal(context.prompt).lessThan(decimal("1.0")) };
forbid (principal, action, resource)
when { resource has short && ["isolated", "decimal", "compared"].contains(resource.short) && context has messages && context.messages < 3 };
forbid (principal, action, resource)
when { resource has short && resource.short == "compared" && context has prompt && context.prompt < 3 };
`,
      );
      return '{ path: policy.cedar, engine: cedar }';
    },
    failing,
  });
  assert.match(log, /the policy failed to evaluate/);
});

test('engine module: no canary comes out, whatever a program throws, returns or dies of', async (t) => {
  const failing = ['throws', 'text', 'rejects', 'uncaught', 'exits', 'member', 'named', 'loops', 'obligation'];
  const log = await walkWithCanaries(t, {
    ...common,
    furnish(place) {
      writeFileSync(
        join(place, 'authz.mjs'),
        `export function evaluate(input) {
  const said = JSON.stringify([input.messages ?? '', input.prompt ?? '', input.system ?? '']);
  switch (input.model) {
    case 'denied':
      return { allow: false, deny: [{ code: said, message: said }], dynamic_metadata: { said } };
    case 'throws':
      throw Object.assign(new Error(said, { cause: new Error(said) }), { code: said, name: said, said });
    case 'text':
      throw said;
    case 'rejects':
      return Promise.reject(new TypeError(said));
    case 'uncaught':
      setTimeout(() => { throw new Error(said); });
      return new Promise(() => {});
    case 'exits':
      process.exit(3);
    case 'member':
      return { allow: true, [said]: () => true };
    case 'named':
      return { allow: new (Object.defineProperty(class {}, 'name', { value: said }))() };
    case 'obligation':
      return { allow: true, obligations: { [said]: said } };
    case 'loops':
      for (;;);
  }
  return true;
}
`,
      );
      return '{ path: authz.mjs, engine: module, deadline: 400ms }';
    },
    failing,
  });
  assert.match(log, /the policy failed to evaluate/);
  assert.ok(!log.includes(canary('')));
});
