/** Answers whose end is the end of the connection, on the routes that have a last frame of their own, and on one without. */
import assert from 'node:assert/strict';
import { after, before, it as define, describe } from 'node:test';
import { patient } from '../support/at-best.ts';
import { type Hostile, type Script, startHostile } from './hostile.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

const sse = 'text/event-stream';
const json = 'application/json';

interface Case {
  readonly route: string;
  readonly type: string;
  /** The whole answer, and where it is cut. */
  readonly content: string;
  readonly cutBefore: string;
}

const cases: readonly Case[] = [
  {
    route: '/v1/chat/completions',
    type: sse,
    content: 'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n',
    cutBefore: 'data: [DONE]',
  },
  {
    route: '/v1/chat/completions',
    type: json,
    content: '{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    cutBefore: ',"usage"',
  },
  {
    route: '/v1/messages',
    type: sse,
    content:
      'event: message_start\ndata: {"type":"message_start"}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    cutBefore: 'event: message_stop',
  },
  {
    route: '/v1/responses',
    type: sse,
    content:
      'event: response.created\ndata: {"type":"response.created"}\n\nevent: response.completed\ndata: {"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":1,"output_tokens":2}}}\n\n',
    cutBefore: 'event: response.completed',
  },
  { route: '/api/embed', type: json, content: '{"embeddings":[[1,2]],"prompt_eval_count":1}', cutBefore: '],"prompt' },
  {
    route: '/api/pull',
    type: 'application/x-ndjson',
    content: '{"status":"pulling"}\n{"status":"success"}\n',
    cutBefore: '{"status":"success"',
  },
];

/** What is asked on each route; the model chooses the answer. */
const asked: Readonly<Record<string, string>> = {
  '/v1/chat/completions': '"messages":[{"role":"user","content":"hi"}]',
  '/v1/messages': '"max_tokens":9,"messages":[{"role":"user","content":"hi"}]',
  '/v1/responses': '"input":"hi"',
  '/api/embed': '"input":"hi"',
  '/api/pull': '"stream":true',
  '/api/show': '"verbose":false',
};

const script: Record<string, Script[string]> = {};
function answersWith(model: string, type: string, content: string): void {
  script[model] = (socket) => {
    socket.end(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nConnection: close\r\n\r\n${content}`);
  };
}

for (const [index, { type, content, cutBefore }] of cases.entries()) {
  answersWith(`whole${index}`, type, content);
  answersWith(`cut${index}`, type, content.slice(0, content.indexOf(cutBefore)));
}
answersWith('list', json, '{"details":{"fam');

describe('an answer that ends with its connection', () => {
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile({ script });
  });
  after(() => hostile.close());
  const outcomeOf = async (route: string, model: string): Promise<string | undefined> => {
    const body = `{"model":"${model}",${asked[route]}}`;
    const bytes = hostile.request(`POST ${route}`, `Content-Length: ${body.length}\r\n`, body);
    const { events, text } = await hostile.send(bytes);
    assert.equal(events[0]?.status, 200, text);
    return events[0]?.outcome;
  };

  for (const [index, { route, type }] of cases.entries())
    it(`on ${route} (${type}) is incomplete if its last frame was not there`, async () => {
      assert.equal(await outcomeOf(route, `whole${index}`), 'complete');
      assert.equal(await outcomeOf(route, `cut${index}`), 'incomplete');
    });

  it('has no last frame where nothing is counted: nobody can tell there', async () => {
    assert.equal(await outcomeOf('/api/show', 'list'), 'complete');
  });
});
