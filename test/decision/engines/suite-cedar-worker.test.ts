/** The same requests, with the policy in threads of its own: nobody may see a difference. */
import { testEngine } from './suite.ts';

testEngine({ engine: 'cedar', kind: 'cedar', configure: async () => ({ isolation: 'worker' }) });
