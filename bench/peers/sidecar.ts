/** The sidecar as its command line starts it, with a meter in its process. */
import './meter.ts';

import { main } from '../../src/main.ts';

await main(process.argv);
