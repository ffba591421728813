#!/usr/bin/env node
// Plain JavaScript that any Node can read: an older one would stop at the first type with an error that says nothing.
import { existsSync } from 'node:fs';

import './require-node.js';

// Whoever imports node:http reads each of its exports, and these three load undici: 8 MB that no part of a sidecar needs.
const http = process.getBuiltinModule('node:http');
for (const name of ['WebSocket', 'CloseEvent', 'MessageEvent']) Reflect.deleteProperty(http, name);

// A checkout runs its sources, the published package what was emitted from them.
const source = new URL('../src/main.ts', import.meta.url);
const { main } = await import(existsSync(source) ? source : new URL('../dist/main.js', import.meta.url));
await main(process.argv);
