/**
 * A sidecar at its most talkative, with canaries in every place of a request and of an answer that holds text, and a look
 * for them in all that comes out but the answers of the upstream themselves: standard output and error, the audit file and
 * its heads, metrics, the admin API and the bodies of the sidecar's own errors.
 */
import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mintToken } from '../../src/cli/token.ts';
import { run } from '../support/running.ts';

export const word = 'kanarienvogel';
/** Says where it was put. Letters only: nothing on the way would have to escape it. */
export const canary = (place: string): string => `${word}${place}`;
const image = Buffer.from(`GIF89a${word}${word}`).toString('base64');
/**
 * How it may come out: as it is, in other cases, in part (a parser's error quotes ten characters), or written in
 * hexadecimal or base64, at any offset.
 */
const spellings = [
  word.slice(3, 10),
  Buffer.from(word).toString('hex'),
  ...[0, 1, 2].map((offset) =>
    Buffer.from('x'.repeat(offset) + word)
      .toString('base64')
      .slice(4, 4 + 12),
  ),
];

export function assertSilent(text: string, where: string): void {
  for (const spelling of spellings) {
    const at = text.toLowerCase().indexOf(spelling.toLowerCase());
    assert.equal(at, -1, `${where} tells: ${text.slice(Math.max(0, at - 200), at + 60)}`);
  }
}

const c = canary;
const tools = [
  {
    type: 'function',
    function: {
      // A name is recorded; a sentence in its place is none.
      name: `${c('tool')} and more`,
      description: c('tooltext'),
      parameters: { type: 'object', properties: { [c('param')]: { type: 'string', description: c('paramtext') } } },
    },
  },
];
const schema = { type: 'object', title: c('schema'), properties: { [c('key')]: { const: c('const') } } };
const openaiCall = { id: c('callid'), type: 'function', function: { name: c('f'), arguments: `{"a":"${c('arg')}"}` } };

/** A canary in each place of a body where callers write text, by route. */
export const bodies: Readonly<Record<string, Record<string, unknown>>> = {
  '/api/chat': {
    messages: [
      { role: 'system', content: c('system') },
      { role: 'user', content: c('user'), images: [image] },
      {
        role: 'assistant',
        content: c('assistant'),
        thinking: c('thinking'),
        tool_calls: [{ function: { name: c('callname'), arguments: { [c('argkey')]: c('arg') } } }],
      },
      { role: 'tool', content: c('result'), tool_name: c('toolname') },
    ],
    tools,
    format: schema,
    options: { stop: [c('stop')], [c('option')]: c('optiontext') },
    metadata: { note: `${c('meta')} and more`, [`${c('metakey')} x`]: 1 },
    [c('member')]: c('membertext'),
  },
  '/api/generate': {
    prompt: c('prompt'),
    suffix: c('suffix'),
    system: c('system'),
    template: c('template'),
    images: [image],
    format: schema,
    options: { stop: c('stop') },
  },
  '/api/embed': { input: [c('embed')] },
  '/api/embeddings': { prompt: c('embeddings') },
  '/api/create': {
    from: 'tiny',
    system: c('createsystem'),
    template: c('createtemplate'),
    license: c('license'),
    messages: [{ role: 'user', content: c('createmessage') }],
  },
  '/api/show': { system: c('showsystem') },
  '/v1/chat/completions': {
    messages: [
      { role: 'developer', content: c('developer') },
      { role: 'user', content: [{ type: 'text', text: c('part') }], name: c('name') },
      { role: 'assistant', content: null, tool_calls: [openaiCall] },
      { role: 'tool', tool_call_id: c('callid'), content: c('result') },
    ],
    tools,
    stop: [c('stop')],
    user: c('userid'),
    response_format: { type: 'json_schema', json_schema: { name: c('schemaname'), schema } },
  },
  '/v1/completions': { prompt: c('completion'), suffix: c('suffix'), stop: c('stop') },
  '/v1/embeddings': { input: c('embedding') },
  '/v1/responses': {
    instructions: c('instructions'),
    input: [{ role: 'user', content: [{ type: 'input_text', text: c('inputtext') }] }],
  },
  '/v1/images/generations': { prompt: c('imageprompt') },
  '/v1/images/edits': { prompt: c('editprompt'), image },
  '/v1/messages': {
    max_tokens: 5,
    system: c('anthropicsystem'),
    messages: [
      { role: 'user', content: [{ type: 'text', text: c('anthropictext') }] },
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id: c('useid'), name: c('use'), input: { a: c('useinput') } }],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: c('useid'), content: c('useresult') }] },
    ],
    tools: [{ name: `${c('anthropictool')} and more`, description: c('text'), input_schema: schema }],
    stop_sequences: [c('stop')],
  },
};

type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

/** Stands for Ollama: what it answers is text of a model too. */
const behaviours: Readonly<Record<string, Behaviour>> = {
  tiny(_request, response) {
    const message = { role: 'assistant', content: c('answer'), thinking: c('answerthinking') };
    response
      .setHeader('content-type', 'application/json')
      .setHeader('x-note', c('answerheader'))
      .end(JSON.stringify({ message, response: c('answer'), done: true, done_reason: 'stop', eval_count: 1 }));
  },
  broken(_request, response) {
    response.writeHead(500, { 'content-type': 'application/json' }).end(`{"error":"${c('upstreamerror')}"}`);
  },
  errorline(_request, response) {
    response.setHeader('content-type', 'application/x-ndjson').end(`{"error":"${c('errorline')}"}\n`);
  },
  dies(_request, response) {
    response.setHeader('content-type', 'application/x-ndjson').write(`{"message":{"content":"${c('half')}`);
    setTimeout(() => response.destroy(), 20);
  },
  reset: (request) => void request.socket.destroy(),
  garbage: (request) => void request.socket.end(`HTTP/1.1 200 OK\r\n${c('garbage')}\r\n\r\n`),
};

async function startUpstream(t: TestContext): Promise<number> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const model = /"model":"(\w+)"/.exec(body)?.[1] ?? 'tiny';
    (behaviours[model] ?? behaviours['tiny'])?.(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close().closeAllConnections());
  return (server.address() as AddressInfo).port;
}

export interface Walk {
  /** Writes what the policy needs. @returns the lines of the section `policy`, as YAML in flow style */
  readonly furnish: (place: string) => string | Promise<string>;
  /** Variables beside those of the walk. */
  readonly env?: Readonly<Record<string, string>>;
  /** Routes that are asked. */
  readonly paths: readonly string[];
  /** Models on which the policy fails: what is answered is the sidecar's own. */
  readonly failing: readonly string[];
  /** Whether bodies, heads and credentials that never reach a policy are sent too. */
  readonly malformed: boolean;
  /** What must not come out beside the walk's own secrets. */
  readonly secrets?: readonly string[];
}

/** @returns what the sidecar said: the lines of its log */
export async function walkWithCanaries(t: TestContext, walk: Walk): Promise<string> {
  const place = mkdtempSync(join(tmpdir(), 'opallama-canaries-'));
  t.after(() => rmSync(place, { recursive: true, maxRetries: 10, force: true }));
  const secret = word + randomBytes(16).toString('hex');
  const adminToken = `${word}-admin-0123456789`;
  writeFileSync(
    join(place, 'heads.pem'),
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
  );
  writeFileSync(
    join(place, 'opallama.yaml'),
    [
      'listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0, admin: 127.0.0.1:0 }',
      `upstream: { base_url: http://127.0.0.1:${await startUpstream(t)} }`,
      `policy: ${await walk.furnish(place)}`,
      'identity: { jwt: [{ algorithm: HS256, secret_env: S, issuer: test, audience: opallama }] }',
      'audit: { file: audit/audit.jsonl, durability: strict, heads: { key_file: heads.pem, file: heads.jsonl } }',
      'admin: { token_env: A }',
      'shutdown: { delay: 0s }',
      'log: { level: trace }',
    ].join('\n'),
  );
  const sidecar = run(process.execPath, ['bin/opallama.js', 'serve', '--config', join(place, 'opallama.yaml')], {
    env: { ...walk.env, S: secret, A: adminToken },
  });
  t.after(() => sidecar.process.kill('SIGKILL'));
  await sidecar.waitFor(/"listener":"admin"/);
  const portOf = async (listener: string): Promise<number> =>
    Number((await sidecar.waitFor(new RegExp(`"listener":"${listener}".*?"port":(\\d+)`)))[1]);
  const [data, ops, admin] = [await portOf('data'), await portOf('ops'), await portOf('admin')];
  const token = mintToken(
    {
      algorithm: 'HS256',
      key: createSecretKey(Buffer.from(secret)),
      kid: undefined,
      issuer: 'test',
      audience: 'opallama',
      claims: {},
    },
    { subject: 'alice', roles: ['developer'], expiresInS: 60 },
  );
  const decisions: string[] = [];

  /** @returns the body where it is the sidecar's own */
  async function ask(path: string, init: RequestInit, own: boolean): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${data}${path}`, {
      ...init,
      headers: {
        authorization: `Bearer ${token}`,
        cookie: `a=${c('cookie')}`,
        'x-opallama-debug': '1',
        'x-other': c('header'),
        'x-opallama-metadata-note': `${c('metaheader')} and more`,
        traceparent: `00-${c('trace')}-01`,
        ...init.headers,
      },
    });
    const id = answer.headers.get('x-opallama-decision-id');
    if (id !== null) decisions.push(id);
    const text = await answer.text().catch(() => '');
    const code = answer.headers.get('x-opallama-reason');
    if (own) {
      assert.ok(answer.status >= 400, `${path} ${init.method}: ${answer.status}`);
      assertSilent(text, `the body of ${code} on ${path}`);
      assertSilent(JSON.stringify([...answer.headers]), `the headers of ${code} on ${path}`);
    }
  }

  for (const path of walk.paths) {
    const body = bodies[path];
    const stream = { stream: false };
    const send = (members: object) => ({
      method: 'POST',
      body: JSON.stringify({ model: 'tiny', ...stream, ...body, ...members }),
    });
    for (const model of Object.keys(behaviours)) {
      const isGeneration = !['/api/create', '/api/show'].includes(path);
      if (model === 'tiny' || isGeneration)
        await ask(`${path}?q=${c('query')}`, send({ model }), ['reset', 'garbage'].includes(model));
    }
    // What the policy writes is its own; what fails in it is not.
    await ask(path, send({ model: 'denied' }), false);
    for (const model of walk.failing) await ask(path, send({ model }), true);
    if (!walk.malformed) continue;
    const whole = JSON.stringify({ model: 'tiny', ...body });
    for (const bad of [
      whole.slice(0, -1),
      `${whole}${c('trailing')}`,
      whole.replace('{', `{"${c('twice')}":1,"${c('twice')}":2,`),
      `\ufeff${whole}`,
      whole.replace('"model":"tiny"', `"model":"tiny","MODEL":"${c('case')}"`),
      whole.replace('"tiny"', `["${c('model')}"]`),
      `"${c('text')}"`,
      c('bare'),
    ])
      await ask(path, { method: 'POST', body: bad }, true);
    const latin = Buffer.concat([Buffer.from(whole.slice(0, -2)), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    await ask(path, { method: 'POST', body: latin }, true);
    await ask(path, { method: 'POST', body: whole, headers: { 'content-encoding': c('encoding') } }, true);
    await ask(
      path,
      { method: 'POST', body: whole, headers: { 'content-type': `text/plain; charset=${c('charset')}` } },
      true,
    );
    for (const bearer of [c('token'), `${token.slice(0, -4)}AAAA`, `eyJ${c('jwt')}.e30.e30`])
      await ask(path, { method: 'POST', body: whole, headers: { authorization: `Bearer ${bearer}` } }, true);
    await ask(path, { method: 'POST', body: whole, headers: { authorization: `Basic ${c('basic')}` } }, true);
    await ask(path, { method: 'POST', body: whole, headers: { 'x-api-key': c('apikey') } }, true);
    await ask(path, { method: 'POST', body: whole, headers: { origin: `https://${c('origin')}.example` } }, true);
    await ask(path, { method: 'PATCH', body: whole }, true);
  }
  if (walk.malformed) await askMalformed();
  async function askMalformed(): Promise<void> {
    for (const path of [
      `/${c('path')}`,
      `/api/${c('path')}?a=${c('query')}`,
      `/api/blobs/${c('digest')}`,
      `/%6b${c('path')}`,
    ])
      await ask(path, { method: 'POST', body: c('body') }, true);
    for (const head of [
      `GET /${c('raw')} HTTP/9.9\r\n\r\n`,
      `GET /api/tags HTTP/1.1\r\nhost: a\r\n${c('field')} : b\r\n\r\n`,
      `POST /api/chat HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: ${c('length')}\r\n\r\n`,
      `POST /api/chat HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${c('chunk')}\r\n`,
      `${c('nothing')}\r\n\r\n`,
    ])
      assertSilent(await exchange(data, head), 'the answer to what is no HTTP');
    // One who leaves in the middle.
    const left = connect(data, '127.0.0.1');
    left.end(
      `POST /api/chat HTTP/1.1\r\nhost: a\r\ncontent-length: 999\r\nauthorization: Bearer ${token}\r\n\r\n{"prompt":"${c('left')}`,
    );
    await once(left.resume(), 'close');
  }

  const askAdmin = async (path: string, init: RequestInit = {}): Promise<void> => {
    const answer = await fetch(`http://127.0.0.1:${admin}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json', ...init.headers },
    });
    assertSilent(await answer.text(), `${init.method ?? 'GET'} ${path} of the admin API`);
  };
  const read = [
    'status',
    'policies',
    'shadow',
    'coverage',
    'identity',
    'support',
    'log-level',
    'audit',
    'policies/policy/revisions',
  ];
  for (const name of read) await askAdmin(`/v1/${name}`);
  for (const id of decisions.slice(0, 5))
    await askAdmin('/v1/explain', { method: 'POST', body: JSON.stringify({ decision_id: id }) });
  await askAdmin('/v1/explain', { method: 'POST', body: JSON.stringify({ decision_id: c('decision') }) });
  await askAdmin('/v1/explain', { method: 'POST', body: JSON.stringify({ [c('adminmember')]: 1 }) });
  await askAdmin(`/v1/${c('adminpath')}?x=${c('adminquery')}`);
  await askAdmin('/v1/status', { headers: { authorization: `Bearer ${c('admintoken')}` } });
  for (const path of ['/metrics', '/healthz', '/readyz?verbose'])
    assertSilent(await (await fetch(`http://127.0.0.1:${ops}${path}`)).text(), path);

  await sleep(100);
  await sidecar.stop();
  assertSilent(sidecar.stdout(), 'standard output');
  assertSilent(sidecar.stderr(), 'the log');
  for (const name of ['heads.jsonl', ...readdirSync(join(place, 'audit')).map((file) => `audit/${file}`)])
    assertSilent(readFileSync(join(place, name), 'latin1'), name);
  for (const secretText of [secret, adminToken, token, ...(walk.secrets ?? [])])
    for (const output of [sidecar.stdout(), sidecar.stderr(), readFileSync(join(place, 'audit/audit.jsonl'), 'utf8')])
      assert.ok(!output.includes(secretText), 'a credential');
  // All of that was recorded, and in the file as on standard output.
  const events = sidecar
    .stdout()
    .split('\n')
    .filter((line) => line.startsWith('{"event":"audit"')).length;
  const lines = readFileSync(join(place, 'audit/audit.jsonl'), 'utf8').split('"event":"completion"').length - 1;
  assert.ok(events > walk.paths.length * (walk.malformed ? 20 : 5), `${events} events`);
  assert.equal(lines, events);
  return sidecar.stderr();
}

async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setTimeout(3000, () => socket.destroy());
  socket.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('error', () => {});
  socket.write(text);
  await once(socket, 'close');
  return answer;
}
