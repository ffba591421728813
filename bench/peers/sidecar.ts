/** The sidecar as its command line starts it, with a meter in its process. */
import './meter.ts';

import { main } from '../../src/main.ts';

await main(process.argv);
// The meter's channel would keep a sidecar that could not start from ending.
if (process.exitCode !== undefined) process.exit();
