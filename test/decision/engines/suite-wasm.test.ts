import { noModule } from '../../policy/toolchain-fixture.ts';
import { testEngine } from './suite.ts';

testEngine({ engine: 'wasm', kind: 'rego', skip: noModule });
