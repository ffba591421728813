// Whether the sidecar beside this process lives: for an image that has no curl. Ends with 0 or 1.
//
//     node bin/health.js [http://127.0.0.1:9464/healthz]
import { get } from 'node:http';

const [, , url = 'http://127.0.0.1:9464/healthz'] = process.argv;

/** @param {string} text */
function fail(text) {
  process.stderr.write(`${url}: ${text}\n`);
  process.exit(1);
}

get(url, { timeout: 2000 }, (response) => {
  response.resume();
  response.on('end', () => (response.statusCode === 200 ? process.exit(0) : fail(`status ${response.statusCode}`)));
})
  .on('timeout', () => fail('no answer within 2 s'))
  .on('error', (error) => fail(error.message));
