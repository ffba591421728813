import { testEngine } from './suite.ts';

testEngine({ engine: 'cedar', kind: 'cedar' });
