/** The same requests, with the policy in threads of its own: nobody may see a difference. */
import { noModule } from '../../policy/toolchain-fixture.ts';
import { testEngine } from './suite.ts';

testEngine({
  engine: 'wasm',
  kind: 'rego',
  configure: async () => ({ isolation: 'worker' }),
  skip: noModule,
});
