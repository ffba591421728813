import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar } from '../support/in-process.ts';

test('Express finds requests and responses as it wants them: to change their prototype would cost V8 some 3 µs each', async (t) => {
  const sidecar = await startTestSidecar({ upstream: await startAnsweringUpstream(t) });
  t.after(() => sidecar.close());
  const given: string[] = [];
  const changed: string[] = [];
  const { setPrototypeOf } = Object;
  t.mock.method(Object, 'setPrototypeOf', (object: object, prototype: object | null) => {
    given.push(object.constructor.name);
    if (Object.getPrototypeOf(object) !== prototype) changed.push(object.constructor.name);
    return setPrototypeOf(object, prototype);
  });
  const answer = await fetch(`${sidecar.url}/api/version`, { headers: { authorization: `Bearer ${sidecar.token()}` } });
  assert.equal(answer.status, 200);
  assert.deepEqual(
    given.filter((name) => name.startsWith('Express')),
    ['ExpressRequest', 'ExpressResponse'],
  );
  assert.ok(!changed.some((name) => /Express|IncomingMessage|ServerResponse/.test(name)), changed.join());
});
