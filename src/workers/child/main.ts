/** Where the process of a worker begins. */

// As bin/opallama.js does, and for its reason: 8 MB in each process.
const http = process.getBuiltinModule('node:http');
for (const name of ['WebSocket', 'CloseEvent', 'MessageEvent']) Reflect.deleteProperty(http, name);

// A terminal tells the whole group, and whoever ends a service may. The primary says when it is time.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {});

// A primary that is gone can tell nobody anything: what is left here would answer requests that nobody records.
process.on('disconnect', () => process.exit(1));

const { startWorker } = await import('./worker.ts');
startWorker();

export {};
