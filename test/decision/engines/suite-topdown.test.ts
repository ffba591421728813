import { noModule } from '../../policy/toolchain-fixture.ts';
import { testEngine } from './suite.ts';

testEngine({ engine: 'topdown', kind: 'rego', skip: noModule });
