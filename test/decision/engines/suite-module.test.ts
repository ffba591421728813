import { join } from 'node:path';
import { testEngine } from './suite.ts';

testEngine({
  engine: 'module',
  kind: 'module',
  configure: async (directory) => ({ path: join(directory, 'policy.mjs') }),
});
